import assert from "node:assert/strict";
import { test } from "node:test";
import { control, Modifiers } from "./keys.ts";

const modifiers = () => new Modifiers(() => undefined);

test("a tapped Ctrl holds for one key", () => {
  const sticky = modifiers();
  sticky.tap("ctrl");
  assert.equal(sticky.apply("c"), "\x03");
  assert.equal(sticky.apply("c"), "c");
});

test("a Ctrl tapped twice holds until the third tap", () => {
  const sticky = modifiers();
  sticky.tap("ctrl");
  sticky.tap("ctrl");
  assert.equal(sticky.apply("a"), "\x01");
  assert.equal(sticky.apply("e"), "\x05");
  sticky.tap("ctrl");
  assert.equal(sticky.apply("e"), "e");
});

test("Alt puts Escape before the key, also with Ctrl", () => {
  const sticky = modifiers();
  sticky.tap("alt");
  assert.equal(sticky.apply("b"), "\x1bb");
  sticky.tap("alt");
  sticky.tap("ctrl");
  assert.equal(sticky.apply("d"), "\x1b\x04");
});

test("pastes, words of a soft keyboard and the emulator's answers pass as they are, and use nothing up", () => {
  const sticky = modifiers();
  sticky.tap("ctrl");
  assert.equal(sticky.apply("hello"), "hello");
  assert.equal(sticky.apply("\x1b[5;1R"), "\x1b[5;1R");
  assert.equal(sticky.apply("c"), "\x03");
});

test("arrows carry the modifiers, else follow the program's cursor key mode", () => {
  const sticky = modifiers();
  assert.equal(sticky.arrow("up", false), "\x1b[A");
  assert.equal(sticky.arrow("up", true), "\x1bOA");
  sticky.tap("ctrl");
  assert.equal(sticky.arrow("left", true), "\x1b[1;5D");
  sticky.tap("alt");
  assert.equal(sticky.arrow("right", false), "\x1b[1;3C");
});

test("control characters are those that terminals send", () => {
  assert.deepEqual(["c", "C", "[", "\\", "_", "@", " ", "?", "/", "7"].map(control), ["\x03", "\x03", "\x1b", "\x1c", "\x1f", "\x00", "\x00", "\x7f", "\x1f", "7"]);
});
