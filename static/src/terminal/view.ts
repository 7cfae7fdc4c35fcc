// The emulator of one terminal: xterm.js, its addons and its size. Renders what a Connection hands it; knows no sockets.

import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { UnicodeGraphemesAddon } from "@xterm/addon-unicode-graphemes";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal } from "@xterm/xterm";
import type { Size } from "../link/frames.ts";
import type { Screen } from "../link/output.ts";
import { onSettings, settings } from "../ui/settings.ts";
import { text } from "../ui/strings.ts";
import { Characters } from "./characters.ts";
import { mendErase } from "./erase.ts";
import { FONT_FAMILY, fontsLoaded } from "./fonts.ts";
import { type Arrow, Modifiers } from "./keys.ts";
import { swallowQueries, watchClipboard } from "./queries.ts";
import { useBestRenderer } from "./renderer.ts";
import { makeStylesSafe } from "./styles.ts";
import { cleanTitle, harmless, runsAtOnce } from "./text.ts";
import { watchTheme } from "./theme.ts";
import { scrollByTouch } from "./touch.ts";
import { Transcript } from "./transcript.ts";

const FONT_PATIENCE = 1000; // ms; then the terminal opens with a fallback font and is measured again later
const MIN_FONT_SIZE = 6; // px, when somebody else's larger terminal is scaled down
const SCROLLBACK = 10_000; // lines
// CAN ends a half-received sequence or character; the OSCs give back colours that a program has changed.
const CLEAN = "\x18\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\";

export interface TerminalEvents {
  input(bytes: Uint8Array): void;
  resized(size: Size): void;
  atPrompt(): boolean; // whether the shell itself waits for a command
  bell(): void;
  titled(title: string): void; // by a program; cleaned
  link(uri: string): void; // tapped: to be asked about
  clipboard(text: string): void; // offered by a program: to be asked about
  paste(text: string): void; // would run at once: to be asked about
  selected(text: string): void;
  sticky(): void; // Ctrl or Alt of the key row changed
}

const encoder = new TextEncoder();

makeStylesSafe();

export class TerminalView implements Screen {
  readonly term: Terminal;
  readonly search = new SearchAddon();
  readonly modifiers: Modifiers;
  readonly transcript: Transcript;
  private readonly fitter = new FitAddon();
  private readonly host: HTMLElement;
  private readonly events: TerminalEvents;
  private readonly characters = new Characters();
  private readonly observer: ResizeObserver;
  private readonly stops: (() => void)[] = [];
  private driver = true;
  private replaying = false;
  private frameAsked = false;

  /** Opens in `host`, which must be laid out (it may be invisible), once cells can be measured. */
  static async open(host: HTMLElement, label: string, events: TerminalEvents): Promise<TerminalView> {
    await Promise.race([fontsLoaded, new Promise((resolve) => setTimeout(resolve, FONT_PATIENCE))]);
    return new TerminalView(host, label, events);
  }

  private constructor(host: HTMLElement, label: string, events: TerminalEvents) {
    this.host = host;
    this.events = events;
    const activate = (event: MouseEvent, uri: string) => this.openLink(event, uri);
    const hint = { hover: (_: MouseEvent, uri: string) => this.hint(uri), leave: () => this.hint(null) };
    this.term = new Terminal({
      allowProposedApi: true, // the Unicode addon needs it
      fontFamily: FONT_FAMILY, fontSize: settings().fontSize,
      scrollback: SCROLLBACK,
      scrollOnEraseInDisplay: true, // Ctrl-L scrolls away what it clears, instead of losing it
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      macOptionIsMeta: true,
      macOptionClickForcesSelection: true,
      minimumContrastRatio: 4.5, // programs choose colours for backgrounds that aren't ours
      rescaleOverlappingGlyphs: true,
      screenReaderMode: settings().reader,
      linkHandler: { activate, ...hint, allowNonHttpProtocols: false },
    });
    this.modifiers = new Modifiers(() => events.sticky());
    this.transcript = new Transcript(this.term, () => events.atPrompt());
    this.stops.push(watchTheme((theme) => (this.term.options.theme = theme)));
    this.term.loadAddon(new UnicodeGraphemesAddon());
    this.term.loadAddon(new WebLinksAddon(activate, hint));
    this.term.loadAddon(this.fitter);
    this.term.loadAddon(this.search);
    mendErase(this.term);
    swallowQueries(this.term, () => this.muted);
    watchClipboard(this.term, () => this.muted, (offered) => events.clipboard(offered));
    this.term.open(host);
    this.term.textarea?.setAttribute("aria-label", `${label}. ${text.terminal.wayOut}`);
    useBestRenderer(this.term);
    this.listen();
    this.stops.push(scrollByTouch(this.term, host));
    this.fit();
    this.observer = new ResizeObserver(() => this.fitSoon());
    this.observer.observe(host);
    void fontsLoaded.then(() => this.remeasure());
  }

  dispose(): void {
    this.observer.disconnect();
    for (const stop of this.stops) stop();
    this.term.dispose();
  }

  /** Whether this page drives the terminal: its size is then the page's, and queries are answered here. */
  setDriver(driver: boolean, typing: boolean): void {
    this.term.options.disableStdin = !typing;
    if (this.driver === driver) return;
    this.driver = driver;
    if (driver) this.term.options.fontSize = settings().fontSize;
    this.fit();
  }

  // --- Screen

  size(): Size {
    return { cols: this.term.cols, rows: this.term.rows };
  }

  /** Takes its place among the writes: xterm's own reset would overtake those that still wait. */
  reset(size: Size): void {
    this.characters.drop();
    this.term.write(CLEAN, () => {
      this.term.reset();
      this.transcript.forget();
      if (!this.driver) this.follow(size);
    });
  }

  write(bytes: Uint8Array, replay: boolean, rendered: () => void): void {
    const whole = this.characters.whole(bytes);
    if (!replay) return this.term.write(whole, rendered);
    // Parsing happens later; callbacks are called in the order of the writes, just before and just after these bytes are parsed.
    this.term.write("", () => (this.replaying = true));
    this.term.write(whole, () => {
      this.replaying = false;
      rendered();
    });
  }

  gap(bytes: number, rendered: () => void): void {
    this.characters.drop();
    this.term.write(`\x18\x1b[0m\r\n\x1b[2m──── ${text.terminal.gap(bytes)} ────\x1b[0m\r\n`, rendered);
  }

  /** Shows the driver's size, in a smaller font where it doesn't fit. */
  follow(size: Size): void {
    if (this.driver) return;
    const usual = settings().fontSize;
    this.term.options.fontSize = usual;
    const room = this.fitter.proposeDimensions();
    this.term.resize(size.cols, size.rows);
    if (!room) return;
    const scale = Math.min(1, room.cols / size.cols, room.rows / size.rows);
    this.term.options.fontSize = Math.max(MIN_FONT_SIZE, Math.floor(usual * scale * 2) / 2);
  }

  // --- what the page's own buttons do

  /** Text as if it had been typed; the key row's modifiers hold for it. */
  type(data: string): void {
    this.term.input(data);
  }

  arrow(arrow: Arrow): void {
    const data = this.modifiers.arrow(arrow, this.term.modes.applicationCursorKeysMode);
    this.term.scrollToBottom();
    this.events.input(encoder.encode(data));
  }

  /** Asks first where it would run at once. */
  paste(clipboard: string): void {
    const pasted = harmless(clipboard);
    if (pasted === "" || this.term.options.disableStdin) return;
    if (runsAtOnce(pasted) && !this.term.modes.bracketedPasteMode) this.events.paste(pasted);
    else this.term.paste(pasted);
  }

  /** Replaces what stands half-typed at the prompt, then runs `command`. */
  run(command: string): void {
    // Ctrl-E, Ctrl-U: to the end of the line, and delete to its beginning, in readline and in a plain terminal line alike.
    this.term.input("\x05\x15");
    this.term.paste(command);
    this.term.input("\r");
  }

  // --- size

  private fitSoon(): void {
    if (this.frameAsked) return;
    this.frameAsked = true;
    requestAnimationFrame(() => {
      this.frameAsked = false;
      this.fit();
    });
  }

  private fit(): void {
    if (!this.driver) return this.follow(this.size());
    const room = this.fitter.proposeDimensions();
    if (!room || !Number.isFinite(room.cols) || !Number.isFinite(room.rows)) return;
    const size = { cols: Math.min(1000, Math.max(2, room.cols)), rows: Math.min(1000, Math.max(1, room.rows)) };
    if (size.cols === this.term.cols && size.rows === this.term.rows) return;
    this.term.resize(size.cols, size.rows);
    this.events.resized(size);
  }

  /** A font that came late has other cells than the fallback that was measured. */
  private remeasure(): void {
    if (!this.host.isConnected) return;
    this.term.options.fontFamily = FONT_FAMILY + ", monospace";
    this.term.options.fontFamily = FONT_FAMILY;
    this.term.clearTextureAtlas();
    this.fit();
  }

  // --- events

  private listen(): void {
    const { term, events } = this;
    term.onData((data) => this.onData(data));
    term.onBinary((data) => events.input(Uint8Array.from(data, (char) => char.charCodeAt(0))));
    term.onBell(() => { if (!this.replaying) events.bell(); });
    term.onTitleChange((title) => events.titled(cleanTitle(title)));
    const selected = () => { if (settings().copyOnSelect && term.hasSelection()) events.selected(term.getSelection()); };
    this.host.addEventListener("mouseup", selected);
    this.host.addEventListener("paste", (event) => {
      event.preventDefault();
      event.stopPropagation();
      this.paste(event.clipboardData?.getData("text/plain") ?? "");
    }, true);
    this.stops.push(onSettings(() => {
      term.options.screenReaderMode = settings().reader;
      if (this.driver) term.options.fontSize = settings().fontSize;
      this.fit();
    }));
  }

  private onData(data: string): void {
    // Switching focus reports on makes xterm report at once; in a replay nobody asked.
    const report = data === "\x1b[I" || data === "\x1b[O";
    if (report && this.muted) return;
    const sent = report ? data : this.modifiers.apply(data);
    this.transcript.typed(sent);
    this.events.input(encoder.encode(sent));
  }

  private get muted(): boolean {
    return this.replaying || !this.driver;
  }

  private openLink(event: MouseEvent, uri: string): void {
    if (event.ctrlKey || event.metaKey) window.open(uri, "_blank", "noopener,noreferrer");
    else if (matchMedia("(pointer: coarse)").matches) this.events.link(uri);
  }

  private hint(uri: string | null): void {
    // A link of OSC 8 may lead elsewhere than its text says.
    this.host.title = uri === null ? "" : `${text.terminal.linkHint}\n${cleanTitle(uri, 200)}`;
  }
}
