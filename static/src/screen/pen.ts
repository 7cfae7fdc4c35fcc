// With what a cell is written: colours, flags, protection and link, as the escape sequences that set them. Pure.

import type { Attributes } from "./internals.ts";

const MODE = 0x3000000, P16 = 0x1000000, RGB = 0x3000000;
const INVERSE = 0x4000000, BOLD = 0x8000000, UNDERLINE = 0x10000000, BLINK = 0x20000000, INVISIBLE = 0x40000000, STRIKE = 0x80000000; // fg
const ITALIC = 0x4000000, DIM = 0x8000000, EXTENDED = 0x10000000, PROTECTED = 0x20000000, OVERLINE = 0x40000000; // bg
const MAX_URI = 4096; // characters; a longer link isn't worth carrying

export const PLAIN = "\x1b[m";
export const NO_LINK = "\x1b]8;;\x1b\\";

export type Links = (id: number) => { id?: string; uri: string } | undefined;

/** Everything, beginning from none. `current`: of what is written next, where an underline's colour may wait for the underline. */
export function sgr(of: Attributes, current = false): string {
  const extended = of.bg & EXTENDED;
  if (of.fg === 0 && of.bg === 0 && !current) return PLAIN;
  const words = [""];
  if (of.fg & BOLD) words.push("1");
  if (of.bg & DIM) words.push("2");
  if (of.bg & ITALIC) words.push("3");
  if (of.fg & UNDERLINE) {
    const style = extended ? (of.extended._ext & 0x1c000000) >>> 26 : 1;
    words.push(style > 1 ? `4:${style}` : "4");
  }
  if (of.fg & BLINK) words.push("5");
  if (of.fg & INVERSE) words.push("7");
  if (of.fg & INVISIBLE) words.push("8");
  if (of.fg & STRIKE) words.push("9");
  if (of.bg & OVERLINE) words.push("53");
  color(words, of.fg, 30);
  color(words, of.bg, 40);
  if ((extended && of.fg & UNDERLINE) || current) underlineColor(words, of.extended._ext);
  return `\x1b[${words.join(";")}m${of.bg & PROTECTED ? '\x1b[1"q' : ""}`;
}

/** Only the background, which is all that erasing takes; empty where it is the default. */
export function background(of: Attributes): string {
  if (!(of.bg & MODE)) return "";
  const words = [""];
  color(words, of.bg, 40);
  return `\x1b[${words.join(";")}m`;
}

export function urlOf(of: Attributes): number {
  return of.bg & EXTENDED ? of.extended.urlId : 0;
}

/** A link without an id gets one, so that its parts on several lines stay one link. */
export function link(url: number, links: Links): string {
  const found = url ? links(url) : undefined;
  if (!found || found.uri.length > MAX_URI) return NO_LINK;
  return `\x1b]8;id=${(found.id ?? `screen-${url}`).slice(0, MAX_URI)};${found.uri}\x1b\\`;
}

function color(words: string[], value: number, base: number): void {
  const mode = value & MODE;
  if (mode === 0) return;
  if (mode === RGB) words.push(`${base + 8};2;${(value >>> 16) & 255};${(value >>> 8) & 255};${value & 255}`);
  else if (mode === P16) words.push(`${base + (value & 8 ? 60 : 0) + (value & 7)}`);
  else words.push(`${base + 8};5;${value & 255}`);
}

function underlineColor(words: string[], ext: number): void {
  const mode = ext & MODE;
  if (mode === 0) return;
  if (mode === RGB) words.push(`58:2::${(ext >>> 16) & 255}:${(ext >>> 8) & 255}:${ext & 255}`);
  else words.push(`58:5:${ext & 255}`);
}
