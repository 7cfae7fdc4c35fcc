// One terminal as the page's emulator would show it, without a screen. It never answers a query: nobody listens.

import { UnicodeGraphemesAddon } from "@xterm/addon-unicode-graphemes";
import { type ITerminalAddon, Terminal } from "@xterm/headless";
import { Characters } from "../terminal/characters.ts";
import { mendErase } from "../terminal/erase.ts";
import { Colors } from "./colors.ts";
import { type Core, coreOf, type Handler } from "./internals.ts";
import { type Aside, serialized } from "./state.ts";

const SCROLLBACK_CELLS = 80_000; // 1,000 rows of 80 columns, about 1 MB; the page's 10,000 rows for each of hundreds would be too much
const MAX_SCROLLBACK = 2000; // rows
const MAX_SEQUENCE = 1_048_576; // bytes; one that has no end by then isn't in the server's scrollback as a whole either
const MAX_REPEAT = 100_000; // characters
const MAX_STEPS = 1000; // the largest size; more steps end in the same place, after as much as an hour
const STARTS = [0x90, 0x98, 0x9b, 0x9d, 0x9e, 0x9f]; // the second bytes of C1 characters that begin a sequence

type Stepping = "insertLines" | "deleteLines" | "scrollUp" | "scrollDown" | "cursorForwardTab" | "cursorBackwardTab";
const STEPPING: Record<string, Stepping> = {
  L: "insertLines", M: "deleteLines", S: "scrollUp", T: "scrollDown", I: "cursorForwardTab", Z: "cursorBackwardTab",
};

export class Emulator {
  taken = 0; // bytes, in total
  private readonly term: Terminal;
  private readonly core: Core;
  private readonly characters = new Characters();
  private readonly colors = new Colors();
  private blink: Aside["blink"] = "";
  private parsed = 0; // bytes; what is the beginning of a character isn't yet
  private sequence = 0; // where the last sequence began

  constructor(cols: number, rows: number) {
    // As in the page's view.ts, as far as it matters to what is shown.
    this.term = new Terminal({ allowProposedApi: true, cols, rows, scrollback: scrollback(cols), scrollOnEraseInDisplay: true, logLevel: "off" });
    this.term.loadAddon(new UnicodeGraphemesAddon() as unknown as ITerminalAddon); // declared for the terminal with a screen
    this.core = coreOf(this.term);
    this.core._inputHandler.onColor((events) => this.colors.take(events));
    mendErase(this.term);
    this.bound(this.core._inputHandler);
    this.watchBlinking();
  }

  get size(): { cols: number; rows: number } {
    return { cols: this.term.cols, rows: this.term.rows };
  }

  /** Bytes that a snapshot taken now holds: an unfinished sequence or character has shown nothing yet, and comes again whole. */
  get written(): number {
    return this.core._inputHandler._parser.currentState === 0 ? this.parsed : this.sequence;
  }

  /** At once: the public write waits for a timer, and what a handler throws would end the process. */
  write(bytes: Uint8Array): void {
    this.taken += bytes.length;
    const whole = this.characters.whole(bytes);
    this.core._inputHandler.parse(whole);
    const start = this.core._inputHandler._parser.currentState === 0 ? -1 : lastStart(whole);
    if (start >= 0) this.sequence = this.parsed + start;
    this.parsed += whole.length;
    if (this.taken - this.written > MAX_SEQUENCE) throw new Error("a sequence has no end");
  }

  resize(cols: number, rows: number): void {
    const lines = scrollback(cols);
    if (lines !== this.term.options.scrollback) this.term.options.scrollback = lines;
    this.term.resize(cols, rows);
  }

  /** Null: even the screen alone is larger than `limit` bytes. */
  snapshot(limit: number): string | null {
    return serialized(this.term, { blink: this.blink, colors: this.colors.sequences() }, limit);
  }

  /** Bytes of memory, about. */
  weight(): number {
    let weight = 0;
    for (const buffer of [this.core._bufferService.buffers.normal, this.core._bufferService.buffers.alt]) {
      for (let y = 0; y < buffer.lines.length; y++) {
        const line = buffer.lines.get(y)!;
        weight += line.length * 12 + 200;
        for (const x in line._combined) weight += 100 + line._combined[x]!.length * 2;
      }
    }
    return weight;
  }

  dispose(): void {
    this.term.dispose();
  }

  /** xterm does as often as it is told: one terminal could stop all others. */
  private bound(handler: Handler): void {
    const { parser } = this.term;
    for (const [final, step] of Object.entries(STEPPING)) {
      parser.registerCsiHandler({ final }, ([count]) => {
        if (typeof count !== "number" || count <= MAX_STEPS) return false;
        return handler[step]({ params: [MAX_STEPS], length: 1 });
      });
    }
    parser.registerCsiHandler({ final: "b" }, ([count]) => typeof count === "number" && count > MAX_REPEAT);
  }

  /** An option of the page's, which doesn't tell whether a program has set it. */
  private watchBlinking(): void {
    const { parser } = this.term;
    for (const final of ["h", "l"] as const) {
      parser.registerCsiHandler({ prefix: "?", final }, (params) => {
        if (params.includes(12)) this.blink = `\x1b[?12${final}`;
        return false;
      });
    }
  }
}

function scrollback(cols: number): number {
  return Math.min(MAX_SCROLLBACK, Math.floor(SCROLLBACK_CELLS / cols));
}

/** Where the last byte is that begins a sequence from any state: a later one ends what an earlier one began. */
function lastStart(bytes: Uint8Array): number {
  let c1 = bytes.lastIndexOf(0xc2);
  while (c1 > 0 && !STARTS.includes(bytes[c1 + 1] ?? 0)) c1 = bytes.lastIndexOf(0xc2, c1 - 1);
  return Math.max(bytes.lastIndexOf(0x1b), STARTS.includes(bytes[c1 + 1] ?? 0) ? c1 : -1);
}
