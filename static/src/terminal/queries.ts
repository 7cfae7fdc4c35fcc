// What programs ask the terminal, and what of it is answered. Only the driver answers, and only what nobody has been asked before.

import type { Terminal } from "@xterm/xterm";

/** `muted()` is asked while a query is parsed; keystrokes aren't parsed, so they pass. */
export function swallowQueries(term: Terminal, muted: () => boolean): void {
  const parser = term.parser;
  for (const prefix of ["", ">", "="]) parser.registerCsiHandler({ ...(prefix && { prefix }), final: "c" }, muted); // DA
  for (const prefix of ["", "?"]) {
    parser.registerCsiHandler({ ...(prefix && { prefix }), final: "n" }, muted); // DSR
    parser.registerCsiHandler({ ...(prefix && { prefix }), intermediates: "$", final: "p" }, muted); // DECRQM
  }
  parser.registerCsiHandler({ prefix: ">", final: "q" }, muted); // XTVERSION
  parser.registerCsiHandler({ final: "t" }, muted); // window reports
  parser.registerDcsHandler({ intermediates: "$", final: "q" }, muted); // DECRQSS
  parser.registerDcsHandler({ intermediates: "+", final: "q" }, muted); // XTGETTCAP
  for (const osc of [4, 10, 11, 12]) parser.registerOscHandler(osc, (data) => muted() && data.includes("?"));
}

const MAX_CLIPBOARD = 1_048_576; // characters of base64 that a program may offer at once

/** OSC 52: a program offers text for the clipboard. `offer` asks the person; reading the clipboard is never answered. */
export function watchClipboard(term: Terminal, muted: () => boolean, offer: (text: string) => void): void {
  term.parser.registerOscHandler(52, (data) => {
    const content = data.slice(data.indexOf(";") + 1);
    if (muted() || content === "?" || content === "" || content.length > MAX_CLIPBOARD) return true;
    const text = decode(content);
    if (text) offer(text);
    return true;
  });
}

function decode(base64: string): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)));
  } catch {
    return null; // not base64, or not text: there is nothing that could be offered
  }
}
