// The screen helper: keeps what each terminal shows, for the server, which starts it and speaks to it over stdin and stdout.
//
// From the server: `o` open (cols u16, rows u16), `w` write (bytes), `r` resize (cols u16, rows u16),
// `s` snapshot (nonce u32, limit u32: bytes), `x` close.
// To it: `S` snapshot (nonce u32, cols u16, rows u16, written u64, bytes), `d` done (u64: bytes taken in total, every 64 KiB and at
// the end of what came), `E` error (text): the terminal is given up; with a nonce in `N` (nonce u32, text) only the snapshot is.

import { Buffer } from "node:buffer";
import process from "node:process";
import { Emulator } from "./emulator.ts";
import { Decoder, frame, type Frame } from "./frames.ts";

const PIECE = 32_768; // bytes that one terminal may have parsed before the others have their turn
const DONE = 65_536; // bytes
const QUEUED = 16_777_216; // bytes that may wait in here; then stdin isn't read
const ANSWERS = 8_388_608; // bytes that may wait to be taken by the server; then nothing is done
const TURN = 5; // ms before stdin is looked at again
const CHECK = 1_048_576; // bytes between two looks at the memory
const HEAP = 400 * 1024 * 1024, CELLS = 640 * 1024 * 1024; // bytes; below what --max-old-space-size ends it at
const ROOM = 0.8; // part of those that is left in use when they are passed

class Terminal {
  readonly emulator: Emulator;
  readonly queue: Frame[] = [];
  told = 0;

  constructor(cols: number, rows: number) {
    this.emulator = new Emulator(cols, rows);
  }
}

const terminals = new Map<number, Terminal>();
let ready: number[] = []; // ids of terminals that have something to do, in turn
let queued = 0;
let sinceCheck = 0;
let scheduled = false;

function send(type: string, id: number, payload: Buffer): void {
  process.stdout.write(frame(type, id, payload));
}

function giveUp(id: number, reason: unknown): void {
  const terminal = terminals.get(id);
  if (!terminal) return;
  for (const { payload } of terminal.queue) queued -= payload.length;
  terminals.delete(id);
  terminal.emulator.dispose();
  send("E", id, Buffer.from(reason instanceof Error ? reason.message : String(reason)));
}

function take(got: Frame): void {
  if (got.type === "o") return open(got);
  const terminal = terminals.get(got.id);
  if (!terminal) return; // given up, while this was on its way
  if (got.type === "x") return close(got.id, terminal);
  if (terminal.queue.length === 0) ready.push(got.id);
  terminal.queue.push(got);
  queued += got.payload.length;
}

function open({ id, payload }: Frame): void {
  terminals.set(id, new Terminal(payload.readUInt16BE(0), payload.readUInt16BE(2)));
}

function close(id: number, terminal: Terminal): void {
  for (const { payload } of terminal.queue) queued -= payload.length;
  terminals.delete(id);
  terminal.emulator.dispose();
}

function work(): void {
  scheduled = false;
  // First: a terminal that the loop below has in hand wouldn't be freed.
  if (sinceCheck >= CHECK) slim();
  const until = performance.now() + TURN;
  while (ready.length > 0 && performance.now() < until && process.stdout.writableLength < ANSWERS) {
    const id = ready.shift()!;
    const terminal = terminals.get(id);
    if (!terminal || terminal.queue.length === 0) continue;
    try {
      step(id, terminal);
    } catch (error) {
      giveUp(id, error);
    }
    if (terminals.get(id) === terminal && terminal.queue.length > 0) ready.push(id);
  }
  if (queued < QUEUED) process.stdin.resume();
  schedule();
}

function step(id: number, terminal: Terminal): void {
  const got = terminal.queue[0]!;
  const { payload, type } = got;
  if (type === "w" && payload.length > PIECE) {
    got.payload = payload.subarray(PIECE);
    queued -= PIECE;
    parse(id, terminal, payload.subarray(0, PIECE));
    return;
  }
  terminal.queue.shift();
  queued -= payload.length;
  if (type === "w") parse(id, terminal, payload);
  else if (type === "r") terminal.emulator.resize(payload.readUInt16BE(0), payload.readUInt16BE(2));
  else if (type === "s") snapshot(id, terminal, payload.readUInt32BE(0), payload.readUInt32BE(4));
  else throw new Error(`unknown frame ${type}`);
}

function parse(id: number, terminal: Terminal, bytes: Buffer): void {
  terminal.emulator.write(bytes);
  sinceCheck += bytes.length;
  const { taken } = terminal.emulator;
  if (taken - terminal.told < DONE && terminal.queue.some((next) => next.type === "w")) return;
  terminal.told = taken;
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64BE(BigInt(taken));
  send("d", id, payload);
}

function snapshot(id: number, terminal: Terminal, nonce: number, limit: number): void {
  const { emulator } = terminal;
  const text = emulator.snapshot(limit);
  const head = Buffer.alloc(16);
  head.writeUInt32BE(nonce, 0);
  if (text === null) return send("N", id, Buffer.concat([head.subarray(0, 4), Buffer.from("the screen alone is too large")]));
  head.writeUInt16BE(emulator.size.cols, 4);
  head.writeUInt16BE(emulator.size.rows, 6);
  head.writeBigUInt64BE(BigInt(emulator.written), 8);
  send("S", id, Buffer.concat([head, Buffer.from(text)]));
}

/** Whoever fills the memory is given up, before all are lost with the process. */
function slim(): void {
  sinceCheck = 0;
  if (!crowded(1)) return;
  gc!();
  if (!crowded(1)) return;
  const heaviest = [...terminals].map(([id, { emulator }]) => ({ id, weight: emulator.weight() })).sort((a, b) => b.weight - a.weight);
  for (const { id } of heaviest) {
    giveUp(id, "the terminals take too much memory");
    gc!();
    if (!crowded(ROOM)) return;
  }
}

function crowded(part: number): boolean {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed > HEAP * part || external > CELLS * part;
}

function schedule(): void {
  if (scheduled || ready.length === 0) return;
  if (process.stdout.writableLength >= ANSWERS) return; // until `drain`
  scheduled = true;
  setImmediate(work);
}

const decoder = new Decoder();
process.stdin.on("data", (piece: Buffer) => {
  for (const got of decoder.feed(piece)) take(got);
  if (queued >= QUEUED) process.stdin.pause();
  schedule();
});
process.stdin.on("end", () => process.exit(0)); // the server is gone
process.stdout.on("drain", schedule);
process.stdout.on("error", () => process.exit(0));
