// The colours that a program has changed. They live where cells are drawn, so the emulator without a screen only tells of them.

import type { ColorEvent } from "./internals.ts";

const SET = 1, RESTORE = 2;
const SPECIAL = 256; // foreground, background, cursor

export class Colors {
  private readonly changed = new Map<number, string>();

  take(events: ColorEvent[]): void {
    for (const { type, index, color } of events) {
      if (type === SET && index !== undefined && color) this.changed.set(index, color.map(hex).join("/"));
      else if (type === RESTORE && index !== undefined) this.changed.delete(index);
      else if (type === RESTORE) for (const one of [...this.changed.keys()]) if (one < SPECIAL) this.changed.delete(one);
    }
  }

  sequences(): string {
    const one = ([index, color]: [number, string]): string =>
      index < SPECIAL ? `\x1b]4;${index};rgb:${color}\x1b\\` : `\x1b]${10 + index - SPECIAL};rgb:${color}\x1b\\`;
    return [...this.changed].sort(([a], [b]) => a - b).map(one).join("");
  }
}

function hex(value: number): string {
  return value.toString(16).padStart(2, "0");
}
