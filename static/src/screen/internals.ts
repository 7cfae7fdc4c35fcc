// What @xterm/headless keeps and its public API doesn't show: saved cursors, margins, charsets, tab stops, links, the parser's state.
// Names are those of version 6.0.0, which is pinned; the tests compare a restored emulator with the original in all of them.

import type { Terminal } from "@xterm/headless";

export interface Attributes {
  fg: number;
  bg: number;
  extended: { _ext: number; urlId: number };
}

export interface Cell extends Attributes {
  getChars(): string;
  getWidth(): number;
}

export interface Line {
  length: number;
  isWrapped: boolean;
  loadCell(x: number, cell: Cell): Cell;
  _combined: Record<number, string>;
}

/** The characters that a charset shows in place of others; undefined is ASCII. */
export type Charset = Record<string, string> | undefined;

export interface Buffer {
  lines: { length: number; get(y: number): Line | undefined };
  x: number;
  y: number;
  ybase: number;
  scrollTop: number;
  scrollBottom: number;
  tabs: Record<number, boolean>;
  savedX: number;
  savedY: number;
  savedCurAttrData: Attributes;
  savedCharset: Charset;
}

/** A program sets (1) or gives back (2) a colour: 0–255 of the palette, 256–258 foreground, background, cursor; none: the palette. */
export interface ColorEvent {
  type: number;
  index?: number;
  color?: [number, number, number];
}

export interface Params {
  params: number[];
  length: number;
}

export interface Handler {
  parse(bytes: Uint8Array): void;
  onColor(listener: (events: ColorEvent[]) => void): void;
  insertLines(params: Params): boolean;
  deleteLines(params: Params): boolean;
  scrollUp(params: Params): boolean;
  scrollDown(params: Params): boolean;
  cursorForwardTab(params: Params): boolean;
  cursorBackwardTab(params: Params): boolean;
  _curAttrData: Attributes;
  _windowTitle: string;
  _iconName: string;
  _parser: { currentState: number; precedingJoinState: number };
}

export interface Core {
  _inputHandler: Handler;
  _bufferService: { buffers: { normal: Buffer; alt: Buffer; active: Buffer } };
  _charsetService: { charset: Charset; glevel: number; _charsets: Charset[] };
  _oscLinkService: { getLinkData(id: number): { id?: string; uri: string } | undefined };
  unicodeService: { charProperties(codepoint: number, preceding: number): number };
  coreMouseService: { activeProtocol: string; activeEncoding: string };
  coreService: {
    isCursorHidden: boolean;
    modes: { insertMode: boolean };
    decPrivateModes: {
      applicationCursorKeys: boolean;
      applicationKeypad: boolean;
      bracketedPasteMode: boolean;
      cursorBlink: boolean | undefined;
      cursorStyle: "block" | "underline" | "bar" | undefined;
      origin: boolean;
      reverseWraparound: boolean;
      sendFocus: boolean;
      synchronizedOutput: boolean;
      wraparound: boolean;
    };
  };
}

export function coreOf(term: Terminal): Core {
  return (term as unknown as { _core: Core })._core;
}
