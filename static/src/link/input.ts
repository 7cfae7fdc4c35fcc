// One writer's input on its way to the terminal: numbered, kept until taken, sent again only from where the server says. Pure.

import { drawWriter, MAX_INPUT } from "./frames.ts";

const MAX_UNTAKEN = 65_536; // bytes the server accepts un-K'd
const MAX_WAITING = 8 * 1024 * 1024; // bytes of a paste that still waits for its turn
const MAX_SHOWN = 400; // characters of pending keys that fit in a notice

export interface InputFrame { seq: number; bytes: Uint8Array }

export class InputQueue {
  writer = drawWriter();
  private untaken: InputFrame[] = []; // sent, not K'd, ascending seq without holes
  private untakenBytes = 0;
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private nextSeq = 1;

  get pending(): number {
    return this.untakenBytes + this.waitingBytes;
  }

  get hasUntaken(): boolean {
    return this.untaken.length > 0;
  }

  /** False, with nothing queued, when there is no room for all of it. */
  push(bytes: Uint8Array): boolean {
    if (this.waitingBytes + bytes.length > MAX_WAITING) return false;
    if (bytes.length > 0) {
      this.waiting.push(bytes);
      this.waitingBytes += bytes.length;
    }
    return true;
  }

  /** The next frame that may be sent now; from here on it counts as sent. */
  next(): InputFrame | null {
    const room = Math.min(MAX_INPUT, MAX_UNTAKEN - this.untakenBytes);
    // A frame is cut only to the frame's own bound: a sliver of room isn't worth a frame.
    if (this.waitingBytes === 0 || room < Math.min(MAX_INPUT, this.waitingBytes)) return null;
    const frame = { seq: this.nextSeq++, bytes: this.shift(room) };
    this.untaken.push(frame);
    this.untakenBytes += frame.bytes.length;
    return frame;
  }

  taken(seq: number): void {
    while (this.untaken[0] && this.untaken[0].seq <= seq) {
      this.untakenBytes -= this.untaken.shift()!.bytes.length;
    }
  }

  /** After attach: whether the server still knows this writer; `again()` is then what to send. */
  resume(lastSeq: number): boolean {
    this.taken(lastSeq);
    const first = this.untaken[0]?.seq ?? this.nextSeq;
    return first === lastSeq + 1;
  }

  /** All that was sent and isn't taken, in order. */
  again(): readonly InputFrame[] {
    return this.untaken;
  }

  /** Forgets everything and draws a new writer: frames of the old one may still be on their way, so its seqs can't be used again. */
  discard(): void {
    this.writer = drawWriter();
    this.untaken = [];
    this.waiting = [];
    this.untakenBytes = this.waitingBytes = 0;
    this.nextSeq = 1;
  }

  /** The pending keys as a person can read them. */
  describe(): string {
    const chunks = [...this.untaken.map((frame) => frame.bytes), ...this.waiting];
    const text = visible(concat(chunks, Math.min(this.pending, MAX_SHOWN * 4)));
    return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}… (${this.pending} bytes)` : text;
  }

  private shift(length: number): Uint8Array {
    const bytes = concat(this.waiting, Math.min(length, this.waitingBytes));
    let left = bytes.length;
    this.waitingBytes -= left;
    while (this.waiting[0] && this.waiting[0].length <= left) left -= this.waiting.shift()!.length;
    if (left > 0) this.waiting[0] = this.waiting[0]!.subarray(left);
    return bytes;
  }
}

function concat(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    if (at === length) break;
    const part = chunk.subarray(0, length - at);
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Control characters made visible: Enter as ⏎, Tab as ⇥, Ctrl-C as ^C. */
export function visible(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/[\x00-\x1f\x7f]/g, (char) => {
    if (char === "\r" || char === "\n") return "⏎";
    if (char === "\t") return "⇥";
    if (char === "\x7f") return "⌫";
    return "^" + String.fromCharCode(char.charCodeAt(0) + 64);
  });
}
