import assert from "node:assert/strict";
import { test } from "node:test";
import { BadFrame, decodeFrame, decodeMessage, drawWriter, encodeAck, encodeInput, encodePing, encodeResize, MAX_INPUT } from "./frames.ts";

const bytes = (...values: (number | string)[]) =>
  Uint8Array.from(values.flatMap((value) => (typeof value === "string" ? [...value].map((char) => char.charCodeAt(0)) : [value])));
const buffer = (...values: (number | string)[]) => bytes(...values).buffer;
const u64 = (value: number) => [...new Uint8Array(new BigUint64Array([BigInt(value)]).buffer)].reverse();

test("client frames are a type byte and big-endian numbers", () => {
  assert.deepEqual(encodeInput(258, bytes("ls\r")), bytes("I", 0, 0, 0, 0, 0, 0, 1, 2, "ls\r"));
  assert.deepEqual(encodeAck(2 ** 40 + 7), bytes("A", 0, 0, 1, 0, 0, 0, 0, 7));
  assert.deepEqual(encodeResize({ cols: 300, rows: 24 }), bytes("R", 1, 44, 0, 24));
  assert.deepEqual(encodePing(0xfffffffe), bytes("P", 255, 255, 255, 254));
});

test("input is 1 to 16,384 bytes a frame", () => {
  assert.throws(() => encodeInput(1, new Uint8Array(0)), BadFrame);
  assert.throws(() => encodeInput(1, new Uint8Array(MAX_INPUT + 1)), BadFrame);
  assert.equal(encodeInput(1, new Uint8Array(MAX_INPUT)).length, 9 + MAX_INPUT);
});

test("server frames decode to what the protocol says", () => {
  assert.deepEqual(decodeFrame(buffer("O", ...u64(5), "hi")), { type: "output", offset: 5, bytes: bytes("hi") });
  assert.deepEqual(decodeFrame(buffer("O", ...u64(5))), { type: "output", offset: 5, bytes: bytes() });
  assert.deepEqual(decodeFrame(buffer("S", ...u64(9), ...u64(7), 0, 80, 1, 0, "x")),
    { type: "snapshot", offset: 9, live: 7, size: { cols: 80, rows: 256 }, bytes: bytes("x") });
  assert.deepEqual(decodeFrame(buffer("G", ...u64(1), ...u64(2 ** 33))), { type: "gap", from: 1, to: 2 ** 33 });
  assert.deepEqual(decodeFrame(buffer("K", ...u64(3))), { type: "taken", seq: 3 });
  assert.deepEqual(decodeFrame(buffer("P", 0, 0, 1, 0)), { type: "pong", nonce: 256 });
});

test("unknown types are ignored, wrong sizes and unsafe numbers are not", () => {
  assert.equal(decodeFrame(buffer("z", 1, 2)), null);
  assert.equal(decodeMessage('{"type": "news"}'), null);
  for (const bad of [buffer(), buffer("O", 1), buffer("K", ...u64(1), 0), buffer("P", 1), buffer("O", 255, 255, 255, 255, 255, 255, 255, 255)]) {
    assert.throws(() => decodeFrame(bad), BadFrame);
  }
  for (const bad of ["", "[", "3", "null", "{}"]) assert.throws(() => decodeMessage(bad), BadFrame);
});

test("known messages keep their fields", () => {
  assert.deepEqual(decodeMessage('{"type": "exit", "code": 130, "offset": 12}'), { type: "exit", code: 130, offset: 12 });
});

test("writers are 64 bits of hex", () => {
  assert.match(drawWriter(), /^[0-9a-f]{16}$/);
  assert.notEqual(drawWriter(), drawWriter());
});
