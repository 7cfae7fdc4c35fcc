// The rows of a buffer as bytes that paint them on an empty screen: cells, and which rows go on in the next one.

import { Buffer as Encoded } from "node:buffer";
import type { Attributes, Buffer, Cell, Core, Line } from "./internals.ts";
import { background, link, type Links, NO_LINK, PLAIN, sgr, urlOf } from "./pen.ts";

const JOINS = 1; // xterm's bit for "is drawn into the cell before it"

export interface Last {
  start: number;
  chars: string;
  pen: string;
}

export class Rows {
  private readonly core: Core;
  private readonly cell: Cell;
  private readonly links: Links;

  constructor(core: Core, cell: Cell) {
    this.core = core;
    this.cell = cell;
    this.links = (id) => core._oscLinkService.getLinkData(id);
  }

  /** The screen, and above it as many rows as fit into `limit` bytes; null where the screen alone doesn't. */
  paint(buffer: Buffer, limit: number): string | null {
    const ways: string[] = [], rows: string[] = []; // how a row is reached, and its cells; the last row first
    let size = 0;
    for (let y = buffer.lines.length - 1; y >= 0; y--) {
      const line = buffer.lines.get(y)!;
      const row = this.cells(line);
      const before = line.isWrapped ? buffer.lines.get(y - 1) : undefined;
      const way = before ? this.wrap(before) : "\r\n";
      size += way.length + Encoded.byteLength(row);
      if (size > limit) {
        if (y >= buffer.ybase) return null;
        break;
      }
      rows.push(row);
      ways.push(way);
    }
    let last = 0;
    // With rows above the screen all must be written, for those to scroll away; else it ends with the last that shows anything.
    if (rows.length <= buffer.lines.length - buffer.ybase) while (last < rows.length && rows[last] === "" && ways[last] === "\r\n") last++;
    let text = "";
    // What the first row goes on from isn't there any more.
    for (let i = rows.length - 1; i >= last; i--) text += i === rows.length - 1 ? rows[i] : ways[i]! + rows[i]!;
    return text;
  }

  /** The cell that ends before column `x`: a wide character begins two columns before it. */
  before(line: Line, x: number): Last {
    const start = x > 1 && line.loadCell(x - 1, this.cell).getWidth() === 0 ? x - 2 : x - 1;
    const cell = line.loadCell(start, this.cell);
    return { start, chars: cell.getChars(), pen: this.pen(cell) };
  }

  pen(of: Attributes, current = false): string {
    return sgr(of, current) + link(urlOf(of), this.links);
  }

  /** A row goes on in the next one only where a character was written beyond its end: a blank is, and is taken away again. */
  private wrap(before: Line): string {
    const last = before.length - 1;
    const cell = before.loadCell(last, this.cell);
    const taken = cell.getChars() !== "" || cell.getWidth() === 0;
    if (taken) return ` \r\x1b[X`;
    const color = background(cell);
    return `\x1b[${last + 1}G \x20\x1b[A\x1b[${last + 1}G${color}\x1b[X${color && PLAIN}\x1b[B\r\x1b[X`;
  }

  /** Begins and ends with the plain pen and no link. */
  private cells(line: Line): string {
    const cell = this.cell;
    let text = "", pen = PLAIN, url = 0;
    let fg = 0, bg = 0, ext = 0; // of the cell before, for most are like it
    let join = 0; // the state in which xterm decides whether a character joins the one before
    let at = 0; // where the cursor is
    for (let x = 0; x < line.length; x++) {
      line.loadCell(x, cell);
      const chars = cell.getChars(), width = cell.getWidth();
      if (chars === "") {
        if (width === 0 || !background(cell)) continue;
        let end = x + 1;
        const color = background(cell);
        while (end < line.length && line.loadCell(end, cell).getChars() === "" && cell.getWidth() && background(cell) === color) end++;
        text += `\x1b[${x + 1}G${color}\x1b[${end - x}X`;
        [fg, bg, ext, pen, join, at] = [-1, -1, -1, "", 0, x];
        x = end - 1;
        continue;
      }
      // A resize may have cut a wide character in two.
      if (x + width > line.length) continue;
      if (at !== x) [text, join, at] = [`${text}\x1b[${x + 1}G`, 0, x];
      const cellExt = cell.bg & 0x10000000 ? cell.extended._ext : 0;
      if (cell.fg !== fg || cell.bg !== bg || cellExt !== ext) {
        const wanted = sgr(cell);
        if (wanted !== pen) [text, pen, join] = [text + wanted, wanted, 0];
        [fg, bg, ext] = [cell.fg, cell.bg, cellExt];
      }
      if (urlOf(cell) !== url) {
        url = urlOf(cell);
        [text, join] = [text + link(url, this.links), 0];
      }
      const joined = this.properties(chars, join);
      if (joined === null) [text, join] = [`${text}\x1b[${x + 1}G`, this.properties(chars, 0) ?? 0];
      else join = joined;
      text += chars;
      at = x + width;
    }
    return text + (url ? NO_LINK : "") + (pen === PLAIN ? "" : PLAIN);
  }

  /** The state behind these characters; null where the first would join what is before it. */
  private properties(chars: string, before: number): number | null {
    let state = before;
    let first = true;
    for (const char of chars) {
      state = this.core.unicodeService.charProperties(char.codePointAt(0)!, state);
      if (first && before !== 0 && state & JOINS) return null;
      first = false;
    }
    return state;
  }
}
