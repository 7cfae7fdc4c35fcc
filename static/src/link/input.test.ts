import assert from "node:assert/strict";
import { test } from "node:test";
import { InputQueue, visible } from "./input.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);

function drain(queue: InputQueue): number[] {
  const seqs: number[] = [];
  for (let frame = queue.next(); frame; frame = queue.next()) seqs.push(frame.seq);
  return seqs;
}

test("keys are numbered from 1 and kept until taken", () => {
  const queue = new InputQueue();
  for (const key of ["a", "b", "c"]) {
    queue.push(bytes(key));
    drain(queue);
  }
  assert.deepEqual(queue.again().map((frame) => [frame.seq, text(frame.bytes)]), [[1, "a"], [2, "b"], [3, "c"]]);
  queue.taken(2);
  assert.deepEqual(queue.again().map((frame) => frame.seq), [3]);
  assert.equal(queue.pending, 1);
});

test("a large paste is paced: at most 64 KiB untaken, 16 KiB a frame, nothing lost", () => {
  const queue = new InputQueue();
  const paste = Uint8Array.from({ length: 200_001 }, (_, at) => at % 251);
  assert.ok(queue.push(paste));
  const sent: number[] = [];
  while (queue.pending > 0) {
    for (let frame = queue.next(); frame; frame = queue.next()) {
      assert.ok(frame.bytes.length <= 16_384);
      sent.push(...frame.bytes);
    }
    const untaken = queue.again();
    assert.ok(untaken.reduce((sum, frame) => sum + frame.bytes.length, 0) <= 65_536);
    queue.taken(untaken[0]!.seq);
  }
  assert.deepEqual(Uint8Array.from(sent), paste);
});

test("what is too large is refused whole", () => {
  const queue = new InputQueue();
  assert.equal(queue.push(new Uint8Array(9 * 1024 * 1024)), false);
  assert.equal(queue.pending, 0);
});

test("after a reconnect only what wasn't taken is sent again", () => {
  const queue = new InputQueue();
  for (const key of ["a", "b", "c"]) {
    queue.push(bytes(key));
    drain(queue);
  }
  assert.ok(queue.resume(2));
  assert.deepEqual(queue.again().map((frame) => text(frame.bytes)), ["c"]);
  queue.push(bytes("d"));
  assert.deepEqual(drain(queue), [4]);
});

test("a server that forgot the writer is noticed, with and without pending keys", () => {
  const queue = new InputQueue();
  queue.push(bytes("a"));
  drain(queue);
  queue.taken(1);
  assert.equal(queue.resume(0), false);
  const writer = queue.writer;
  queue.discard();
  assert.notEqual(queue.writer, writer);
  assert.ok(queue.resume(0));
});

test("pending keys are shown as a person reads them", () => {
  assert.equal(visible(bytes("ls\t-l\r\x03\x7fé")), "ls⇥-l⏎^C⌫é");
  const queue = new InputQueue();
  queue.push(bytes("rm x\r"));
  drain(queue);
  queue.push(bytes("y"));
  assert.equal(queue.describe(), "rm x⏎y");
  queue.push(bytes("z".repeat(5000)));
  assert.match(queue.describe(), /^rm x⏎yz+… \(5006 bytes\)$/);
});
