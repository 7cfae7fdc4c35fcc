// One tab of the lab: a connection, the emulator it feeds, and the element both live in.

import { Connection } from "../link/connection.ts";
import type { TerminalView } from "../terminal/view.ts";
import { text } from "../ui/strings.ts";
import { copyText } from "../ui/ui.tsx";

// Fetched beside everything else; the socket opens meanwhile.
const emulator = import("../terminal/view.ts");
emulator.catch(() => undefined); // each tab says so itself, which may be later

/** What the terminal wants to know from the person before it goes on. */
export type Ask = { kind: "paste" | "clipboard"; text: string } | { kind: "link"; uri: string } | { kind: "paste-how" };

export interface TabPlace { id: string; number: number; name: string | null }

export class Tab {
  readonly id: string;
  readonly number: number;
  readonly host = document.createElement("div");
  readonly connection: Connection;
  view: TerminalView | null = null;
  name: string | null; // given by the person
  title = ""; // by the program; a claim
  rang = false; // since it was last seen
  ask: Ask | null = null;
  failed = false; // the emulator could not be loaded
  seen = false; // it is the selected tab
  private readonly changed: () => void;
  private laidOut!: () => void;
  private wantsFocus = false;
  private disposed = false;

  /** `watches`: somebody else's terminal, which is only looked at. */
  constructor({ id, number, name }: TabPlace, changed: () => void, watches = false) {
    this.id = id;
    this.number = number;
    this.name = name;
    this.changed = changed;
    this.host.className = "terminal-host";
    const screen = new Promise<void>((resolve) => (this.laidOut = resolve)).then(() => this.open());
    screen.catch((error: unknown) => {
      console.warn("the emulator could not be loaded", error);
      this.failed = true;
      changed();
    });
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.connection = new Connection(`${scheme}://${location.host}/ws/terminals/${encodeURIComponent(id)}`, screen, {
      changed: () => {
        this.followRole();
        changed();
      },
    }, watches);
  }

  /** "2 vim": its number and its name, or what runs in it. */
  get label(): string {
    return `${this.number} ${this.caption}`;
  }

  get caption(): string {
    return this.name ?? (this.connection.status?.command || text.tabs.shell);
  }

  /** What would be lost by closing, or would get what is typed; null when the shell just waits. */
  get running(): string | null {
    const { state, status } = this.connection;
    const over = state.name === "exited" || state.name === "lost";
    return !over && status && !status.shell ? status.command || text.tabs.aProgram : null;
  }

  /** The server knows that a page is here. */
  get attended(): boolean {
    return ["live", "elsewhere", "exited"].includes(this.connection.state.name);
  }

  get typing(): boolean {
    return this.view !== null && this.connection.state.name === "live" && this.connection.role === "driver";
  }

  get fullScreen(): boolean {
    return this.view?.term.buffer.active.type === "alternate" || this.connection.status?.alternate === true;
  }

  mount(parent: HTMLElement): void {
    parent.append(this.host);
    this.laidOut();
  }

  focus(): void {
    this.wantsFocus = true;
    this.view?.term.focus();
  }

  /** It was selected, or another one was. */
  show(seen: boolean): void {
    this.seen = seen;
    if (seen) this.rang = false;
    else this.wantsFocus = false;
  }

  raise(ask: Ask | null): void {
    this.ask = ask;
    this.changed();
  }

  dispose(): void {
    this.disposed = true;
    this.connection.close();
    this.view?.dispose();
    this.host.remove();
  }

  private async open(): Promise<TerminalView> {
    const { TerminalView } = await emulator;
    const view = await TerminalView.open(this.host, text.terminal.label(String(this.number)), {
      input: (bytes) => this.connection.send(bytes),
      resized: (size) => this.connection.resize(size),
      atPrompt: () => this.connection.status?.shell ?? true,
      bell: () => this.ring(),
      titled: (title) => { this.title = title; this.changed(); },
      link: (uri) => this.raise({ kind: "link", uri }),
      clipboard: (offered) => this.raise({ kind: "clipboard", text: offered }),
      paste: (pasted) => this.raise({ kind: "paste", text: pasted }),
      selected: (selection) => void copyText(selection),
      sticky: () => this.changed(),
    });
    if (this.disposed) view.dispose();
    this.view = view;
    this.followRole();
    if (this.wantsFocus) view.term.focus();
    this.changed();
    return view;
  }

  private ring(): void {
    if (this.rang || (this.seen && document.visibilityState === "visible")) return;
    this.rang = true;
    this.changed();
  }

  private followRole(): void {
    // The first change comes from within the constructor of the connection.
    const { role, state } = this.connection ?? { role: "driver", state: { name: "connecting" } };
    const over = state.name === "exited" || state.name === "lost" || state.name === "closed";
    this.view?.setDriver(role === "driver", role !== "observer" && !over);
  }
}
