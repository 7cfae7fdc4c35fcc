// The whole state of an emulator as bytes: a fresh one of the same size that gets them goes on like the original.
// The serialize addon isn't used: it knows no links, no kinds of underline, no margins, saved cursors, charsets and tab stops, moves
// the cursor by the origin mode behind it, and makes bold and dim of each other.

import type { Terminal } from "@xterm/headless";
import { designate, shift } from "./charsets.ts";
import { type Buffer, type Cell, type Core, coreOf } from "./internals.ts";
import { NO_LINK, PLAIN } from "./pen.ts";
import { type Last, Rows } from "./rows.ts";

const MOUSE: Record<string, string> = { X10: "9", VT200: "1000", DRAG: "1002", ANY: "1003" };
const ENCODINGS: Record<string, string> = { SGR: "1006", SGR_PIXELS: "1016" };
const STYLES = { block: 1, underline: 3, bar: 5 };
const MAX_TITLE = 1024; // characters

/** What isn't in the emulator: the last that was said of the cursor's blinking, and the colours. */
export interface Aside {
  blink: "" | "\x1b[?12h" | "\x1b[?12l";
  colors: string;
}

/** At most about `limit` bytes, by leaving out the oldest rows; null where the screens alone are more. */
export function serialized(term: Terminal, aside: Aside, limit: number): string | null {
  const core = coreOf(term);
  const { normal, alt, active } = core._bufferService.buffers;
  const rows = new Rows(core, term.buffer.active.getNullCell() as unknown as Cell);
  let over: string;
  if (active === alt) {
    const painted = rows.paint(alt, limit);
    if (painted === null) return null;
    // Not 1049, which would save the cursor: what is saved there may be older.
    over = `\x1b[?1047h\x1b[H${painted}${kept(term, rows, alt)}`;
  } else {
    // The other screen is empty, but its saved cursor stays for the next program there.
    const saved = savedCursor(term, rows, alt);
    over = saved && `\x1b[?1047h${saved}\x1b[?1047l`;
  }
  const painted = rows.paint(normal, limit - over.length);
  if (painted === null) return null;
  return painted + kept(term, rows, normal) + over + charsets(core, active) + modes(term, core, aside) + cursor(core, rows, active);
}

/** What each buffer has of its own. */
function kept(term: Terminal, rows: Rows, buffer: Buffer): string {
  const { scrollTop: top, scrollBottom: bottom } = buffer;
  const margins = top !== 0 || bottom !== term.rows - 1 ? `\x1b[${top + 1};${bottom + 1}r` : "";
  return tabs(term, buffer) + margins + savedCursor(term, rows, buffer);
}

function savedCursor(term: Terminal, rows: Rows, buffer: Buffer): string {
  const { savedCurAttrData: pen, savedCharset: charset } = buffer;
  const x = Math.min(term.cols - 1, buffer.savedX); // it comes back on the screen, even if it was beyond the last column
  const y = Math.min(term.rows - 1, Math.max(0, buffer.savedY - buffer.ybase));
  if (x === 0 && y === 0 && pen.fg === 0 && pen.bg === 0 && !charset) return "";
  return `\x1b[${y + 1};${x + 1}H${rows.pen(pen)}${designate(0, charset)}\x1b7${PLAIN}${NO_LINK}${designate(0, undefined)}`;
}

function tabs(term: Terminal, buffer: Buffer): string {
  const columns = [...Array(term.cols).keys()];
  if (columns.every((x) => Boolean(buffer.tabs[x]) === (x % 8 === 0))) return "";
  return "\x1b[3g" + columns.filter((x) => buffer.tabs[x]).map((x) => `\x1b[${x + 1}G\x1bH`).join("");
}

function charsets(core: Core, active: Buffer): string {
  const { charset, glevel, _charsets: sets } = core._charsetService;
  let text = "";
  for (const level of [0, 1, 2, 3]) if (sets[level]) text += designate(level, sets[level]);
  if (glevel !== 0) text += shift(glevel);
  if (charset === sets[glevel]) return text;
  // Restoring a cursor has brought back the charset in use, and not where it was designated. Where that can't be done again, it lasts
  // until the next shift.
  return text + (charset === active.savedCharset ? "\x1b8" : designate(glevel, charset));
}

function modes(term: Terminal, core: Core, aside: Aside): string {
  const { modes: ansi, decPrivateModes: dec, isCursorHidden } = core.coreService;
  const { activeProtocol: mouse, activeEncoding: encoding } = core.coreMouseService;
  const handler = core._inputHandler;
  const set = (on: boolean, mode: string): string => (on ? `\x1b[${mode}h` : "");
  let text = set(dec.applicationCursorKeys, "?1") + set(dec.bracketedPasteMode, "?2004") + set(dec.reverseWraparound, "?45")
    + set(dec.sendFocus, "?1004") + set(dec.synchronizedOutput, "?2026") + set(ansi.insertMode, "4")
    + set(Boolean(term.options.convertEol), "20");
  if (dec.applicationKeypad) text += "\x1b=";
  if (!dec.wraparound) text += "\x1b[?7l";
  if (MOUSE[mouse]) text += `\x1b[?${MOUSE[mouse]}h`;
  if (ENCODINGS[encoding]) text += `\x1b[?${ENCODINGS[encoding]}h`;
  if (isCursorHidden) text += "\x1b[?25l";
  text += aside.blink;
  // An unknown style only sets the blinking.
  if (dec.cursorBlink !== undefined) text += `\x1b[${(dec.cursorStyle ? STYLES[dec.cursorStyle] : 7) + (dec.cursorBlink ? 0 : 1)} q`;
  if (handler._iconName) text += `\x1b]1;${handler._iconName.slice(0, MAX_TITLE)}\x1b\\`;
  if (handler._windowTitle) text += `\x1b]2;${handler._windowTitle.slice(0, MAX_TITLE)}\x1b\\`;
  return text + aside.colors + set(dec.origin, "?6");
}

/** The cursor, what is written next, and what it would be joined to. Last, because any sequence ends a joined character. */
function cursor(core: Core, rows: Rows, buffer: Buffer): string {
  const { precedingJoinState: join } = core._inputHandler._parser;
  const pen = rows.pen(core._inputHandler._curAttrData, true);
  const cols = buffer.lines.get(buffer.ybase)!.length;
  const row = buffer.y - (core.coreService.decPrivateModes.origin ? buffer.scrollTop : 0);
  const at = (x: number): string => `\x1b[${Math.max(0, row) + 1};${x + 1}H`;
  const last = buffer.x > 0 ? rows.before(buffer.lines.get(buffer.ybase + buffer.y)!, buffer.x) : null;
  if (last && join && last.chars && last.pen === rows.pen(core._inputHandler._curAttrData)) return at(last.start) + pen + again(core, last);
  if (last && buffer.x === cols) {
    // Written in ASCII, whatever charset is in use.
    const { glevel, charset } = core._charsetService;
    const plain = charset ? designate(glevel, undefined) : "";
    return at(last.start) + last.pen + plain + again(core, { ...last, chars: last.chars || " " }) + (plain && designate(glevel, charset)) + pen;
  }
  return at(buffer.x) + pen;
}

/** In insert mode what stands right of it makes room for its first code point, so that room must be taken away before. */
function again(core: Core, { chars }: Last): string {
  if (!core.coreService.modes.insertMode) return chars;
  const width = (core.unicodeService.charProperties(chars.codePointAt(0)!, 0) >> 1) & 3;
  return `\x1b[${width}P${chars}`;
}
