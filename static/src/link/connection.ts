// One page's connection to one terminal: attach, resume, back-off, input until it is taken.
// Knows the socket; knows nothing of xterm (that is a Screen) or of the page around it.

import {
  BadFrame, decodeFrame, decodeMessage, encodeAck, encodeInput, encodePing, encodeResize, SUBPROTOCOL,
  type Attached, type Role, type ServerFrame, type ServerMessage, type Size, type Status, type Watcher,
} from "./frames.ts";
import { Heartbeat } from "./heartbeat.ts";
import { InputQueue } from "./input.ts";
import { Output, type Screen } from "./output.ts";

const BACK_OFF = [0, 250, 500, 1000, 2000, 4000, 8000]; // ms
const CONNECT_TIMEOUT = 2000; // ms
const ASK_AFTER = 10_000; // ms away, after which pending keys are shown before they are sent
const SETTLED = 2000; // ms a connection must have lasted for the back-off to begin anew
const BUSY_DELAY = 2000; // ms: the least wait after "too many"
const NAK_DELAY = { order: 20, full: 150 }; // ms, doubled each time until something is taken
const NAK_DELAY_MAX = 2000; // ms

export type State =
  | { name: "connecting"; step: string | null }
  | { name: "live"; roundTrip: number | null }
  | { name: "reconnecting"; retryAt: number | null; reason: string | null }
  | { name: "offline" }
  | { name: "elsewhere" }
  | { name: "exited"; code: number }
  | { name: "lost"; message: string }
  | { name: "closed"; code: number; reason: string }; // 4401, 4403, 4404, 4408: the page decides

/** What became of the wish to type into somebody else's terminal; `reason` as the server gives it. */
export type Assist = { name: "none"; reason: string | null } | { name: "asked" } | { name: "typing" };

export interface Events {
  changed(): void; // state, role, status, question or notice
}

/** Keys that wait for an answer (question), or that were given up (notice). */
export interface Doubt { kind: "question" | "lost" | "too-large"; keys: string }

export class Connection {
  state: State = { name: "connecting", step: null };
  role: Role = "driver";
  status: Status | null = null;
  doubt: Doubt | null = null;
  watchers: readonly Watcher[] = []; // who looks at the student's terminal
  assist: Assist = { name: "none", reason: null };
  refusal: string | null = null; // why the server sent us away last, until we are let in again

  private readonly input = new InputQueue();
  private readonly output = new Output((offset) => this.acknowledge(offset), () => this.leaveWhenDone());
  private readonly heartbeat = new Heartbeat({
    phase: () => (this.socket === null || this.socket.readyState === WebSocket.CONNECTING ? null : this.attached ? "live" : "attaching"),
    ping: (nonce) => this.transmit(encodePing(nonce)),
    dead: () => this.fail("no answer"),
  });
  private readonly url: string;
  private readonly screenReady: Promise<Screen>;
  private readonly events: Events;
  private readonly watches: boolean;
  private socket: WebSocket | null = null;
  private attached = false;
  private birth: string | null = null;
  private ticket: string | null = null;
  private sentSize: Size = { cols: 0, rows: 0 };
  private exit: { code: number; offset: number } | null = null;
  private attempt = 0;
  private strikes = 0; // protocol errors in a row
  private forgotten = false; // the server forgot this writer: a new one was drawn just now
  private naks = 0; // in a row
  private nakTimer: ReturnType<typeof setTimeout> | undefined;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private connectTimer: ReturnType<typeof setTimeout> | undefined;
  private attachedAt = 0;
  private lastLiveAt: number | null = null;
  private closed = false;

  /** `watches`: it is somebody else's terminal, which is only looked at. */
  constructor(url: string, screen: Promise<Screen>, events: Events, watches = false) {
    this.url = url;
    this.watches = watches;
    if (watches) this.role = "observer";
    this.screenReady = screen;
    this.events = events;
    this.connect();
  }

  // --- what the page may ask

  /** Keys, pastes and the emulator's answers. */
  send(bytes: Uint8Array): void {
    if (this.role === "observer" || !this.accepting) return;
    const queued = this.input.push(bytes);
    if (this.doubt?.kind === "question") return this.raise({ kind: "question", keys: this.input.describe() });
    if (!queued) return this.raise({ kind: "too-large", keys: "" });
    this.flush();
  }

  resize(size: Size): void {
    if (!this.attached || this.role !== "driver") return;
    if (size.cols === this.sentSize.cols && size.rows === this.sentSize.rows) return;
    this.sentSize = size;
    this.transmit(encodeResize(size));
  }

  /** Answers the question about pending keys, or puts a notice away. */
  answer(send: boolean): void {
    const asked = this.doubt?.kind === "question";
    this.doubt = null;
    if (asked && send) this.sendAgain();
    if (asked && !send) this.renew();
    this.events.changed();
  }

  /** Who watches asks to type; the student, or the course, decides. */
  ask(): void {
    this.wish({ name: "asked" }, "ask");
  }

  /** Takes the wish back, or ends the typing. */
  release(): void {
    this.wish({ name: "none", reason: null }, "release");
    this.stopTyping();
  }

  /** The student's answer to who asks, or the end for who types. */
  grant(watcher: Watcher, allow: boolean): void {
    this.say({ type: "grant", id: watcher.id, allow });
  }

  /** Becomes the driver again, after another page took over. */
  continueHere(): void {
    this.role = "driver";
    this.change({ name: "reconnecting", retryAt: null, reason: null });
    this.reconnectNow();
  }

  /** The person, the network or the page's visibility says that now is a good moment. */
  wake(): void {
    if (this.closed || this.ended) return;
    if (this.attached) {
      this.heartbeat.wake();
    } else if (this.socket === null && this.state.name !== "elsewhere") {
      this.reconnectNow();
    }
  }

  close(): void {
    this.closed = true;
    this.heartbeat.stop();
    this.drop();
  }

  // --- connecting

  private get ended(): boolean {
    return this.state.name === "closed" || this.state.name === "lost" || (this.exit !== null && this.output.handed >= this.exit.offset);
  }

  private get accepting(): boolean {
    return !this.closed && !this.ended && this.exit === null && this.state.name !== "elsewhere";
  }

  private reconnectNow(): void {
    this.drop();
    this.connect();
  }

  private connect(): void {
    if (this.closed) return;
    clearTimeout(this.retryTimer);
    if (this.birth === null && this.attempt === 0) this.change({ name: "connecting", step: null });
    else if (this.state.name !== "offline" && this.state.name !== "elsewhere") this.change({ name: "reconnecting", retryAt: null, reason: null });
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heartbeat.heard();
    this.connectTimer = setTimeout(() => this.fail("no answer"), CONNECT_TIMEOUT);
    socket.onopen = () => void this.attach(socket);
    socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => this.receive(event.data);
    socket.onclose = (event) => this.onClose(event.code, event.reason);
  }

  private async attach(socket: WebSocket): Promise<void> {
    clearTimeout(this.connectTimer);
    // The socket opens while fonts and emulator are still loading; the size needs them.
    let screen: Screen;
    try {
      screen = this.output.screen ??= await this.screenReady;
    } catch {
      return this.close(); // nothing can be shown: who made the screen says so
    }
    if (this.socket !== socket) return;
    this.heartbeat.heard();
    this.sentSize = screen.size();
    socket.send(JSON.stringify({
      type: "attach", writer: this.input.writer, role: this.watches ? "observer" : this.role, ...this.sentSize,
      birth: this.birth, offset: this.birth === null ? 0 : this.output.handed, ticket: this.ticket,
    }));
  }

  /** Leaves the socket without waiting for its close: a dead one may take minutes. */
  private drop(): void {
    clearTimeout(this.retryTimer);
    clearTimeout(this.connectTimer);
    clearTimeout(this.nakTimer);
    this.nakTimer = undefined;
    if (this.attached && this.role === "driver") this.lastLiveAt = this.heartbeat.heardAt;
    this.attached = false;
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private fail(reason: string): void {
    this.onClose(1006, reason);
  }

  private onClose(code: number, reason: string): void {
    const lasted = this.attached ? performance.now() - this.attachedAt : 0;
    this.drop();
    if (lasted > SETTLED) this.attempt = this.strikes = 0;
    if (this.ended) return;
    if (code === 4401 || code === 4403 || code === 4404 || code === 4408) return this.change({ name: "closed", code, reason });
    if (code === 4409 && !this.watches) {
      // Driven on another server now: here it is watched, by a new socket.
      this.role = "observer";
      this.change({ name: "elsewhere" });
    }
    // What a server says in a close is for people; what the network says isn't.
    this.refusal = code >= 4000 && code !== 4409 && reason ? reason : null;
    if (code === 4400 && ++this.strikes > 1) this.birth = null;
    this.retry(code === 4429 ? BUSY_DELAY : 0, reason || null);
  }

  private retry(least: number, reason: string | null): void {
    const step = BACK_OFF[Math.min(this.attempt++, BACK_OFF.length - 1)]!;
    const delay = Math.max(least, step) * (0.75 + Math.random() / 2) + Math.random() * 100;
    this.retryTimer = setTimeout(() => this.connect(), delay);
    if (this.state.name === "elsewhere") return;
    if (!navigator.onLine) this.change({ name: "offline" });
    else this.change({ name: "reconnecting", retryAt: Date.now() + delay, reason });
  }

  // --- receiving

  private receive(data: ArrayBuffer | string): void {
    this.heartbeat.heard();
    try {
      if (typeof data === "string") {
        const message = decodeMessage(data);
        if (message) this.onMessage(message);
      } else {
        const frame = decodeFrame(data);
        if (frame) this.onFrame(frame);
      }
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      if (++this.strikes > 1) this.birth = null; // our own offset doesn't help: begin anew
      this.fail(error.message);
    }
  }

  private onMessage(message: ServerMessage): void {
    switch (message.type) {
      case "attached": return this.onAttached(message);
      case "progress": return this.onProgress(message.step);
      case "role": return this.watches ? this.onAnswer(message) : this.onRole(message.role);
      case "size": return this.role !== "driver" ? this.output.screen?.follow(message) : undefined;
      case "status":
        this.status = message;
        return this.events.changed();
      case "watchers":
        this.watchers = message.watchers;
        return this.events.changed();
      case "nak": return this.onNak(message.expected, message.reason);
      case "exit": return this.onExit(message);
      case "lost":
        this.change({ name: "lost", message: message.message });
        return this.drop();
      case "detached":
        this.attached = false;
        if (this.role === "driver") this.lastLiveAt = this.heartbeat.heardAt;
        return this.change({ name: "reconnecting", retryAt: null, reason: message.message });
    }
  }

  private onAttached(message: Attached): void {
    const now = performance.now();
    const away = this.lastLiveAt === null ? 0 : now - this.lastLiveAt;
    const same = message.birth === this.birth;
    this.attached = true;
    this.refusal = null;
    this.attachedAt = now;
    this.birth = message.birth;
    this.ticket = message.ticket ?? this.ticket;
    this.role = message.role;
    if (!same) this.exit = null;
    this.watchers = []; // they are told anew
    this.change(message.role === "driver" || this.watches ? { name: "live", roundTrip: null } : { name: "elsewhere" });
    if (same) this.output.resume(message.live);
    else this.output.beginAnew(message.live, message);
    if (this.watches) this.wishAgain();
    if (message.role === "observer") this.output.screen?.follow(message);
    else if (this.output.screen) this.resize(this.output.screen.size());
    this.heartbeat.begin();
    if (message.role === "driver") this.resumeInput(message.last_seq, away);
  }

  private onProgress(step: string): void {
    if (this.state.name === "connecting") this.change({ name: "connecting", step });
    else this.change({ name: "reconnecting", retryAt: null, reason: step });
  }

  private onRole(role: Role): void {
    if (role === "observer" && this.role === "driver") this.lastLiveAt = performance.now();
    this.role = role;
    if (role === "observer") this.change({ name: "elsewhere" });
    else if (this.attached) {
      this.sentSize = { cols: 0, rows: 0 }; // the pty has another driver's size
      this.change({ name: "live", roundTrip: null });
      if (this.output.screen) this.resize(this.output.screen.size());
      this.sendAgain();
    }
  }

  // --- to type into somebody else's terminal

  private wish(assist: Assist, type: "ask" | "release"): void {
    this.assist = assist;
    this.say({ type });
    this.events.changed();
  }

  /** A new socket: whoever holds the terminal must hear of the wish again. Who was let in isn't asked about again. */
  private wishAgain(): void {
    this.role = "observer";
    if (this.assist.name !== "none") this.say({ type: "ask" });
  }

  private onAnswer({ role, reason, last_seq }: { role: Role; reason?: string; last_seq?: number }): void {
    if (role === "assistant") {
      this.role = role;
      this.assist = { name: "typing" };
      this.resumeInput(last_seq ?? 0, 0);
    } else {
      if (this.assist.name !== "none") this.assist = { name: "none", reason: reason ?? null };
      this.stopTyping();
    }
    this.events.changed();
  }

  /** Keys that weren't taken are dropped: they were meant for a moment that is over. */
  private stopTyping(): void {
    if (this.role !== "assistant") return;
    this.role = "observer";
    this.heartbeat.input(false);
    if (this.input.pending > 0) this.renew();
    this.events.changed();
  }

  private onExit({ code, offset }: { code: number; offset: number }): void {
    this.exit = { code, offset };
    this.input.discard();
    this.doubt = null;
    this.change({ name: "exited", code });
    this.leaveWhenDone();
  }

  private leaveWhenDone(): void {
    if (this.exit && this.output.rendered >= this.exit.offset) this.drop();
  }

  private onFrame(frame: ServerFrame): void {
    switch (frame.type) {
      case "output": return this.output.output(frame.offset, frame.bytes);
      case "snapshot": return this.output.snapshot(frame);
      case "gap": return this.output.gap(frame.to);
      case "taken":
        this.naks = 0;
        this.input.taken(frame.seq);
        this.heartbeat.taken(this.input.hasUntaken);
        return this.flush();
      case "pong":
        if (this.heartbeat.pong(frame.nonce) && this.state.name === "live") this.change({ name: "live", roundTrip: this.heartbeat.roundTrip });
    }
  }

  private acknowledge(offset: number): void {
    if (this.attached) this.transmit(encodeAck(offset));
  }

  // --- input

  private resumeInput(lastSeq: number, away: number): void {
    if (!this.input.resume(lastSeq)) {
      if (!this.forgotten) return this.giveUp();
      // A new writer that is unknown again can only be a server's mistake: don't go round in circles.
    }
    this.forgotten = false;
    if (this.doubt?.kind === "question") return;
    if (this.input.pending > 0 && away > ASK_AFTER) return this.raise({ kind: "question", keys: this.input.describe() });
    this.sendAgain();
  }

  private sendAgain(): void {
    this.nakTimer = undefined;
    if (!this.attached) return;
    for (const { seq, bytes } of this.input.again()) this.transmitInput(seq, bytes);
    this.flush();
  }

  private flush(): void {
    const held = this.nakTimer !== undefined || this.doubt?.kind === "question";
    if (!this.attached || this.role === "observer" || held) return;
    for (let frame = this.input.next(); frame; frame = this.input.next()) this.transmitInput(frame.seq, frame.bytes);
  }

  private transmitInput(seq: number, bytes: Uint8Array): void {
    this.heartbeat.input(true);
    this.transmit(encodeInput(seq, bytes));
  }

  private onNak(expected: number, reason: "order" | "unknown" | "full"): void {
    if (this.role === "observer" || this.nakTimer !== undefined) return; // already on its way again
    if (reason === "unknown") return this.giveUp();
    // Not `resume`: a nak that was overtaken by a K expects less than we still hold, and means nothing any more.
    this.input.taken(expected - 1);
    this.nakTimer = setTimeout(() => this.sendAgain(), Math.min(NAK_DELAY_MAX, NAK_DELAY[reason] * 2 ** this.naks++));
  }

  /** The server doesn't know what became of this writer's keys. */
  private giveUp(): void {
    if (this.input.pending > 0) this.raise({ kind: "lost", keys: this.input.describe() });
    this.renew();
  }

  private renew(): void {
    this.input.discard();
    this.heartbeat.input(false);
    this.forgotten = true;
    this.reconnectNow();
  }

  // --- small things

  private raise(doubt: Doubt): void {
    this.doubt = doubt;
    this.events.changed();
  }

  private change(state: State): void {
    // A shell that ended stays ended, whatever its socket does; only the session's end says more.
    const over = this.state.name === "lost" || (this.state.name === "exited" && this.exit !== null);
    if (over && state.name !== "closed") return;
    this.state = state;
    this.events.changed();
  }

  private say(message: object): void {
    if (this.attached && this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private transmit(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(bytes);
  }
}
