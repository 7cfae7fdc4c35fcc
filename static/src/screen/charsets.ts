// Which escape sequence designates a charset: xterm keeps the tables and forgets their names.

import { Terminal } from "@xterm/headless";
import { type Charset, coreOf } from "./internals.ts";

const FLAGS = "0A4C5RQKYE6ZH7=";
const G = ["(", ")", "*", "+"];
const SHIFTS = ["\x0f", "\x0e", "\x1bn", "\x1bo"];

const names = new Map<Charset, string>();
{
  const term = new Terminal({ cols: 2, rows: 1 });
  const core = coreOf(term);
  for (const flag of FLAGS) {
    core._inputHandler.parse(Uint8Array.from(`\x1b(${flag}`, (char) => char.charCodeAt(0)));
    names.set(core._charsetService._charsets[0], flag);
  }
  term.dispose();
}

export function designate(level: number, charset: Charset): string {
  return `\x1b${G[level]}${names.get(charset) ?? "B"}`;
}

export function shift(level: number): string {
  return SHIFTS[level]!;
}
