// The helper's frames, both ways: length u32 (of what follows), type u8, id u32, payload; all big-endian.

import { Buffer } from "node:buffer";

export const HEAD = 9; // bytes: length, type, id
export const MAX_FRAME = 8_388_608; // bytes; nobody sends more

export interface Frame {
  type: string;
  id: number;
  payload: Buffer;
}

/** Cuts a stream into frames. */
export class Decoder {
  private readonly pieces: Buffer[] = [];
  private size = 0;

  *feed(piece: Buffer): Generator<Frame> {
    this.pieces.push(piece);
    this.size += piece.length;
    if (this.size < HEAD || this.size < this.wanted()) return;
    let all = Buffer.concat(this.pieces);
    let at = 0;
    while (all.length - at >= HEAD) {
      const end = at + 4 + length(all, at);
      if (end > all.length) break;
      yield { type: String.fromCharCode(all[at + 4]!), id: all.readUInt32BE(at + 5), payload: all.subarray(at + HEAD, end) };
      at = end;
    }
    all = all.subarray(at);
    this.pieces.splice(0, this.pieces.length, all);
    this.size = all.length;
  }

  private wanted(): number {
    if (this.pieces[0]!.length < 4) this.pieces.splice(0, this.pieces.length, Buffer.concat(this.pieces));
    return 4 + length(this.pieces[0]!, 0);
  }
}

export function frame(type: string, id: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUInt32BE(payload.length + HEAD - 4, 0);
  head[4] = type.charCodeAt(0);
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

function length(bytes: Buffer, at: number): number {
  const found = bytes.readUInt32BE(at);
  if (found > MAX_FRAME || found < HEAD - 4) throw new Error(`a frame of ${found} bytes`);
  return found;
}
