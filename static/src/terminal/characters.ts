// A stream of UTF-8 in pieces that end between characters. Pure.
// xterm 6.0 decodes what was split by itself, but loses a character that is split right behind a byte 0x80: ’ – … and the joiner
// inside emoji are all E2 80 xx.

export class Characters {
  private held = new Uint8Array(0); // the beginning of a character, at most 3 bytes

  /** What was held back and these bytes, up to the end of the last whole character. What is no UTF-8 isn't held back. */
  whole(bytes: Uint8Array): Uint8Array {
    const all = this.held.length === 0 ? bytes : joined(this.held, bytes);
    const end = all.length - begun(all);
    this.held = all.slice(end);
    return all.subarray(0, end);
  }

  /** What comes next doesn't go on where the last bytes ended. */
  drop(): void {
    this.held = new Uint8Array(0);
  }
}

/** How many bytes at the end are the beginning of a longer character. */
function begun(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf8 ? 4 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
