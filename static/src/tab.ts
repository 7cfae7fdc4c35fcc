// One tab of the lab: a connection, the emulator it feeds, and the element both live in.

import { Connection } from "./connection.ts";
import type { TerminalView } from "./terminal.ts";

// Fetched beside everything else; the socket opens meanwhile.
const emulator = import("./terminal.ts");

export class Tab {
  readonly id: string;
  readonly number: number;
  readonly host = document.createElement("div");
  readonly connection: Connection;
  view: TerminalView | null = null;
  private laidOut!: () => void;
  private wantsFocus = false;
  private disposed = false;

  constructor(id: string, number: number, changed: () => void) {
    this.id = id;
    this.number = number;
    this.host.className = "terminal-host";
    const screen = new Promise<void>((resolve) => (this.laidOut = resolve)).then(() => this.open());
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.connection = new Connection(`${scheme}://${location.host}/ws/terminals/${encodeURIComponent(id)}`, screen, {
      changed: () => {
        this.followRole();
        changed();
      },
    });
  }

  /** "vim", or "shell" until the server has said what runs. */
  get command(): string {
    return this.connection.status?.command || "shell";
  }

  /** What would be lost by closing; null when the shell just waits. */
  get running(): string | null {
    const { state, status } = this.connection;
    const over = state.name === "exited" || state.name === "lost";
    return !over && status && !status.shell ? status.command || "A program" : null;
  }

  mount(parent: HTMLElement): void {
    parent.append(this.host);
    this.laidOut();
  }

  focus(): void {
    this.wantsFocus = true;
    this.view?.term.focus();
  }

  blur(): void {
    this.wantsFocus = false;
  }

  dispose(): void {
    this.disposed = true;
    this.connection.close();
    this.view?.dispose();
    this.host.remove();
  }

  private async open(): Promise<TerminalView> {
    const { TerminalView } = await emulator;
    const view = await TerminalView.open(this.host, `Terminal ${this.number}`, {
      input: (bytes) => this.connection.send(bytes),
      resized: (size) => this.connection.resize(size),
    });
    if (this.disposed) view.dispose();
    this.view = view;
    this.followRole();
    if (this.wantsFocus) view.term.focus();
    return view;
  }

  private followRole(): void {
    // The first change comes from within the constructor of the connection.
    const { role, state } = this.connection ?? { role: "driver", state: { name: "connecting" } };
    const over = state.name === "exited" || state.name === "lost" || state.name === "closed";
    this.view?.setDriver(role === "driver", role === "driver" && !over);
  }
}
