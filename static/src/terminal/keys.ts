// Keys that a screen's own buttons press: their bytes, and Ctrl and Alt that stick until the next key. Pure.

export type Stick = "off" | "once" | "locked";
export type Arrow = "up" | "down" | "left" | "right";

const ARROWS: Readonly<Record<Arrow, string>> = { up: "A", down: "B", right: "C", left: "D" };

export class Modifiers {
  ctrl: Stick = "off";
  alt: Stick = "off";
  private readonly changed: () => void;

  constructor(changed: () => void) {
    this.changed = changed;
  }

  /** A tap: for the next key; a second tap: until the third. */
  tap(name: "ctrl" | "alt"): void {
    this[name] = this[name] === "off" ? "once" : this[name] === "once" ? "locked" : "off";
    this.changed();
  }

  /** What one typed key becomes. Text of several characters (a paste, a word from a soft keyboard) is left as it is. */
  apply(data: string): string {
    if (this.ctrl === "off" && this.alt === "off") return data;
    if ([...data].length !== 1) return data;
    const typed = this.ctrl === "off" ? data : control(data);
    const sent = this.alt === "off" ? typed : `\x1b${typed}`;
    this.used();
    return sent;
  }

  arrow(arrow: Arrow, applicationMode: boolean): string {
    const final = ARROWS[arrow];
    const modifier = 1 + (this.alt === "off" ? 0 : 2) + (this.ctrl === "off" ? 0 : 4);
    this.used();
    if (modifier > 1) return `\x1b[1;${modifier}${final}`;
    return `\x1b${applicationMode ? "O" : "["}${final}`;
  }

  private used(): void {
    if (this.ctrl === "once") this.ctrl = "off";
    if (this.alt === "once") this.alt = "off";
    this.changed();
  }
}

/** Ctrl with a character, as terminals send it; a character without one is itself. */
export function control(char: string): string {
  if (char === " " || char === "2") return "\x00";
  if (char === "?") return "\x7f";
  if (char === "/" || char === "-") return "\x1f";
  const code = char.toUpperCase().charCodeAt(0);
  return code >= 0x40 && code <= 0x5f ? String.fromCharCode(code - 0x40) : char;
}
