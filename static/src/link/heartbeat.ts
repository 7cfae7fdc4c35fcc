// Whether the other end still answers, and how fast. Knows time, no sockets.

const SILENCE = 3000; // ms without a message = dead
const ATTACH_SILENCE = 10_000; // ms, while the server is still attaching (a thaw, a restart) and doesn't pong
const PING_EVERY = 2000; // ms
const PING_AFTER_INPUT = 1000; // ms that input may stay un-K'd before a ping asks
const TICK = 250; // ms
const LATE_TICK = 1500; // ms: a tick later than this means that the page itself slept, not the server

export interface Pulse {
  /** "live" when pongs can be expected; null when there is no open socket. */
  phase(): "attaching" | "live" | null;
  ping(nonce: number): void;
  dead(): void;
}

export class Heartbeat {
  heardAt = 0;
  roundTrip: number | null = null; // ms
  private roundTrips: number[] = []; // the latest first
  private readonly pulse: Pulse;
  private readonly ticker = setInterval(() => this.tick(), TICK);
  private lastTick = performance.now();
  private pingedAt = 0;
  private nonce = 0;
  private untakenSince: number | null = null;

  constructor(pulse: Pulse) {
    this.pulse = pulse;
  }

  stop(): void {
    clearInterval(this.ticker);
  }

  /** Anything from the server is a sign of life. */
  heard(): void {
    this.heardAt = performance.now();
  }

  /** A socket was attached: what was measured on the last one is old. */
  begin(): void {
    this.roundTrips = [];
    this.roundTrip = null;
    this.ping();
  }

  /** The page slept or was away: what the server said meanwhile may still be queued. Ask before declaring anything dead. */
  wake(): void {
    this.heard();
    if (this.pulse.phase() === "live") this.ping();
  }

  /** Input is under way (sent), or none is any more. */
  input(untaken: boolean): void {
    this.untakenSince = untaken ? (this.untakenSince ?? performance.now()) : null;
  }

  /** Some input was taken: what is left has waited only since now. */
  taken(left: boolean): void {
    this.untakenSince = left ? performance.now() : null;
  }

  /** True for the answer to the last ping. */
  pong(nonce: number): boolean {
    if (nonce !== this.nonce) return false;
    // The page's own rendering delays some: the least of a few is the network's.
    this.roundTrips = [performance.now() - this.pingedAt, ...this.roundTrips.slice(0, 2)];
    this.roundTrip = Math.min(...this.roundTrips);
    return true;
  }

  private ping(): void {
    this.pingedAt = performance.now();
    this.nonce = (this.nonce + 1) >>> 0;
    this.pulse.ping(this.nonce);
  }

  private tick(): void {
    const now = performance.now();
    const late = now - this.lastTick > LATE_TICK;
    this.lastTick = now;
    const phase = this.pulse.phase();
    if (phase === null) return;
    if (late) return this.wake();
    if (now - this.heardAt >= (phase === "live" ? SILENCE : ATTACH_SILENCE)) return this.pulse.dead();
    if (phase !== "live") return;
    const since = this.untakenSince;
    const asks = since !== null && now - since >= PING_AFTER_INPUT && this.pingedAt < since;
    if (asks || now - this.pingedAt >= PING_EVERY) this.ping();
  }
}
