// The messages of the terminal's WebSocket (docs/protocol.md), encoded and decoded. Pure: no socket, no DOM.

export const SUBPROTOCOL = "educenter.terminal.v1";
export const MAX_INPUT = 16_384; // bytes in one I frame

export type Role = "driver" | "observer" | "assistant";
export interface Size { cols: number; rows: number }

export type ServerFrame =
  | { type: "output"; offset: number; bytes: Uint8Array }
  | { type: "snapshot"; offset: number; live: number; size: Size; bytes: Uint8Array }
  | { type: "gap"; from: number; to: number }
  | { type: "taken"; seq: number }
  | { type: "pong"; nonce: number };

export interface Status { shell: boolean; command: string; alternate: boolean; bracketed_paste: boolean; echo: boolean; others: number }

export interface Attached { birth: string; live: number; last_seq: number; role: Role; cols: number; rows: number; ticket: string | null }

export interface Watcher { id: string; name: string; since: number; asks: boolean; types: boolean } // since: unix seconds
export type ServerMessage =
  | ({ type: "attached" } & Attached)
  | { type: "progress"; step: string }
  | { type: "role"; role: Role; reason?: string; last_seq?: number }
  | ({ type: "size" } & Size)
  | ({ type: "status" } & Status)
  | { type: "watchers"; watchers: Watcher[] }
  | { type: "nak"; expected: number; reason: "order" | "unknown" | "full" }
  | { type: "exit"; code: number; offset: number }
  | { type: "lost"; message: string }
  | { type: "detached"; message: string };

const MESSAGE_TYPES: ReadonlySet<string> = new Set<ServerMessage["type"]>(
  ["attached", "progress", "role", "size", "status", "watchers", "nak", "exit", "lost", "detached"]);

export class BadFrame extends Error {}

const TYPE = (letter: string): number => letter.charCodeAt(0);
const INPUT = TYPE("I"), ACK = TYPE("A"), RESIZE = TYPE("R"), PING = TYPE("P");
const OUTPUT = TYPE("O"), SNAPSHOT = TYPE("S"), GAP = TYPE("G"), TAKEN = TYPE("K");

function frame(type: number, length: number): [Uint8Array<ArrayBuffer>, DataView] {
  const bytes = new Uint8Array(1 + length);
  bytes[0] = type;
  return [bytes, new DataView(bytes.buffer)];
}

function setU64(view: DataView, at: number, value: number): void {
  view.setBigUint64(at, BigInt(value));
}

function getU64(view: DataView, at: number): number {
  const value = view.getBigUint64(at);
  if (value > Number.MAX_SAFE_INTEGER) throw new BadFrame("a number beyond 2^53");
  return Number(value);
}

export function encodeInput(seq: number, input: Uint8Array): Uint8Array<ArrayBuffer> {
  if (input.length < 1 || input.length > MAX_INPUT) throw new BadFrame(`input of ${input.length} bytes`);
  const [bytes, view] = frame(INPUT, 8 + input.length);
  setU64(view, 1, seq);
  bytes.set(input, 9);
  return bytes;
}

export function encodeAck(offset: number): Uint8Array<ArrayBuffer> {
  const [bytes, view] = frame(ACK, 8);
  setU64(view, 1, offset);
  return bytes;
}

export function encodeResize({ cols, rows }: Size): Uint8Array<ArrayBuffer> {
  const [bytes, view] = frame(RESIZE, 4);
  view.setUint16(1, cols);
  view.setUint16(3, rows);
  return bytes;
}

export function encodePing(nonce: number): Uint8Array<ArrayBuffer> {
  const [bytes, view] = frame(PING, 4);
  view.setUint32(1, nonce);
  return bytes;
}

const HEADER: Readonly<Record<number, { size: number; exact: boolean }>> = {
  [OUTPUT]: { size: 9, exact: false },
  [SNAPSHOT]: { size: 21, exact: false },
  [GAP]: { size: 17, exact: true },
  [TAKEN]: { size: 9, exact: true },
  [PING]: { size: 5, exact: true },
};

/** A server's binary message; null for a type this version doesn't know (it is to be ignored). */
export function decodeFrame(data: ArrayBuffer): ServerFrame | null {
  const view = new DataView(data);
  if (data.byteLength === 0) throw new BadFrame("an empty frame");
  const type = view.getUint8(0);
  const header = HEADER[type];
  if (!header) return null;
  if (data.byteLength < header.size || (header.exact && data.byteLength !== header.size)) {
    throw new BadFrame(`frame ${String.fromCharCode(type)} of ${data.byteLength} bytes`);
  }
  switch (type) {
    case OUTPUT:
      return { type: "output", offset: getU64(view, 1), bytes: new Uint8Array(data, 9) };
    case SNAPSHOT:
      return {
        type: "snapshot", offset: getU64(view, 1), live: getU64(view, 9),
        size: { cols: view.getUint16(17), rows: view.getUint16(19) }, bytes: new Uint8Array(data, 21),
      };
    case GAP:
      return { type: "gap", from: getU64(view, 1), to: getU64(view, 9) };
    case TAKEN:
      return { type: "taken", seq: getU64(view, 1) };
    default:
      return { type: "pong", nonce: view.getUint32(1) };
  }
}

/** A server's text message; null for a type this version doesn't know (it is to be ignored). */
export function decodeMessage(text: string): ServerMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadFrame("text that isn't JSON");
  }
  if (typeof value !== "object" || value === null || !("type" in value)) throw new BadFrame("a message without a type");
  return typeof value.type === "string" && MESSAGE_TYPES.has(value.type) ? (value as ServerMessage) : null;
}

/** A new writer's id: 64 random bits, never 0. */
export function drawWriter(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return /^0+$/.test(hex) ? drawWriter() : hex;
}
