// What the last command printed, as plain text: for screen readers, for copying, for fingers that can't select cells.

import type { IBuffer, IMarker, Terminal } from "@xterm/xterm";

const MAX_MARKS = 20; // Enter keys at a prompt that are remembered
const MAX_LINES = 2000; // of one transcript; what is older is said to be left out

export interface Passage { command: string; text: string; cut: boolean }

export class Transcript {
  private readonly term: Terminal;
  private readonly atPrompt: () => boolean;
  private marks: IMarker[] = [];

  /** `atPrompt`: whether the shell itself waits for a command. */
  constructor(term: Terminal, atPrompt: () => boolean) {
    this.term = term;
    this.atPrompt = atPrompt;
  }

  /** Something was typed. */
  typed(data: string): void {
    if (!data.includes("\r") || !this.atPrompt() || this.term.buffer.active.type !== "normal") return;
    const mark = this.term.registerMarker(0);
    this.marks.push(mark);
    if (this.marks.length > MAX_MARKS) this.marks.shift()!.dispose();
  }

  /** The buffer is another one now: marks in the old one mean nothing. */
  forget(): void {
    for (const mark of this.marks) mark.dispose();
    this.marks = [];
  }

  /** The latest command that printed something; null when there is none. */
  last(): Passage | null {
    const buffer = this.term.buffer.normal;
    const cursor = buffer.baseY + buffer.cursorY;
    const marks = this.marks.filter((mark) => !mark.isDisposed && mark.line >= 0);
    for (let number = marks.length - 1; number >= 0; number--) {
      const from = endOfWrapped(buffer, marks[number]!.line) + 1;
      const next = marks[number + 1];
      const to = next ? startOfWrapped(buffer, next.line) : this.atPrompt() ? startOfWrapped(buffer, cursor) : cursor + 1;
      const passage = read(buffer, from, to);
      if (passage.text) return { command: line(buffer, marks[number]!.line), ...passage };
    }
    return null;
  }

  /** All there is, scrollback and all. */
  everything(): Passage {
    const buffer = this.term.buffer.active;
    return { command: "", ...read(buffer, 0, buffer.length) };
  }
}

function read(buffer: IBuffer, from: number, to: number): { text: string; cut: boolean } {
  const first = Math.max(from, to - MAX_LINES);
  let text = "";
  for (let y = first; y < to; y++) {
    const row = buffer.getLine(y);
    if (!row) continue;
    if (y > first && !row.isWrapped) text += "\n";
    text += row.translateToString(!buffer.getLine(y + 1)?.isWrapped);
  }
  return { text: text.replace(/\s+$/, ""), cut: first > from };
}

/** The logical line that row `y` is part of. */
function line(buffer: IBuffer, y: number): string {
  return read(buffer, startOfWrapped(buffer, y), endOfWrapped(buffer, y) + 1).text;
}

function startOfWrapped(buffer: IBuffer, y: number): number {
  let first = y;
  while (first > 0 && buffer.getLine(first)?.isWrapped) first--;
  return first;
}

function endOfWrapped(buffer: IBuffer, y: number): number {
  let last = y;
  while (buffer.getLine(last + 1)?.isWrapped) last++;
  return last;
}
