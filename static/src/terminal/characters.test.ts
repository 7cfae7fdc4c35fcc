import assert from "node:assert/strict";
import test from "node:test";
import { Characters } from "./characters.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const TEXT = "aé’你👩\u200d💻\u{10fffd}z";

test("every split comes out as whole characters and as the same bytes", () => {
  const bytes = encoder.encode(TEXT);
  for (let first = 0; first <= bytes.length; first++) {
    for (let second = first; second <= bytes.length; second++) {
      const characters = new Characters();
      const pieces = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
      const texts = pieces.map((piece) => decoder.decode(characters.whole(piece)));
      assert.equal(texts.join(""), TEXT);
    }
  }
});

test("what is no UTF-8 passes unchanged, held back by three bytes at most", () => {
  const bytes = Uint8Array.from({ length: 4096 }, (_, at) => (at * 197 + (at >> 8) * 31) & 0xff);
  const characters = new Characters();
  const passed: number[] = [];
  bytes.forEach((byte, at) => {
    passed.push(...characters.whole(Uint8Array.of(byte)));
    assert.ok(at + 1 - passed.length <= 3);
  });
  passed.push(...characters.whole(encoder.encode("...")));
  assert.deepEqual(passed, [...bytes, ...encoder.encode("...")]);
});

test("what was held back is forgotten when the stream goes on elsewhere", () => {
  const characters = new Characters();
  characters.whole(Uint8Array.of(0xe2, 0x80));
  characters.drop();
  assert.equal(decoder.decode(characters.whole(encoder.encode("x"))), "x");
});
