// Where one terminal's output stands: bytes handed to the screen, bytes rendered, bytes acknowledged. Knows offsets, no sockets.

import { BadFrame, type ServerFrame, type Size } from "./frames.ts";

const ACK_EVERY = 32_768; // bytes

/** Where output goes. Calls are made in the order of the bytes; `rendered` is called when a write has been processed. */
export interface Screen {
  size(): Size;
  reset(size: Size): void;
  write(bytes: Uint8Array, replay: boolean, rendered: () => void): void;
  gap(bytes: number, rendered: () => void): void;
  follow(size: Size): void;
}

export class Output {
  handed = 0; // offset after the last byte given to the screen: where a new attach goes on
  rendered = 0; // offset after the last byte the screen has processed: what may be acknowledged
  live = 0; // bytes below were shown to somebody before: queries in them aren't answered
  screen: Screen | null = null;
  private acked = -1;
  private generation = 0; // raised whenever offsets begin anew: older writes' callbacks then mean nothing
  private readonly acknowledge: (offset: number) => void;
  private readonly processed: () => void;

  constructor(acknowledge: (offset: number) => void, processed: () => void) {
    this.acknowledge = acknowledge;
    this.processed = processed;
  }

  /** A new socket goes on where the last one ended: it hasn't heard any ack yet. */
  resume(live: number): void {
    this.live = live;
    this.acked = -1;
    if (this.rendered === this.handed) this.ack();
  }

  /** Another pty, or an offset that was of no use: what is on the screen and what was counted is void. */
  beginAnew(live: number, size: Size): void {
    this.live = live;
    this.restart(0);
    this.screen?.reset(size);
  }

  output(offset: number, bytes: Uint8Array): void {
    if (offset > this.handed) throw new BadFrame(`output at ${offset}, ${this.handed} was next`);
    const fresh = bytes.subarray(Math.min(bytes.length, this.handed - offset));
    const shown = Math.min(fresh.length, Math.max(0, this.live - this.handed));
    this.hand(fresh.subarray(0, shown), true);
    this.hand(fresh.subarray(shown), false);
  }

  snapshot({ offset, live, size, bytes }: Extract<ServerFrame, { type: "snapshot" }>): void {
    this.live = live;
    this.restart(offset);
    // What is newer than `live` was shown to nobody yet: only its queries are answered. (In a snapshot there are none.)
    const shown = Math.max(0, bytes.length - Math.max(0, offset - live));
    this.screen?.reset(size);
    this.screen?.write(bytes.subarray(0, shown), true, () => undefined);
    this.screen?.write(bytes.subarray(shown), false, this.whenRendered(offset));
  }

  gap(to: number): void {
    if (to <= this.handed) return;
    const lost = to - this.handed;
    this.handed = to;
    this.screen?.gap(lost, this.whenRendered(to));
  }

  private restart(offset: number): void {
    this.generation++;
    this.handed = offset;
    this.rendered = 0;
    this.acked = -1;
  }

  private hand(bytes: Uint8Array, replay: boolean): void {
    if (bytes.length === 0) return;
    this.handed += bytes.length;
    this.screen?.write(bytes, replay, this.whenRendered(this.handed));
  }

  private whenRendered(end: number): () => void {
    const generation = this.generation;
    return () => {
      if (generation !== this.generation) return;
      this.rendered = end;
      if (this.rendered === this.handed || this.rendered - this.acked >= ACK_EVERY) this.ack();
      this.processed();
    };
  }

  private ack(): void {
    if (this.rendered <= this.acked) return;
    this.acked = this.rendered;
    this.acknowledge(this.rendered);
  }
}
