// The emulator of one terminal: xterm.js, its addons and its size. Renders what a Connection hands it; knows no sockets.

import { FitAddon } from "@xterm/addon-fit";
import { UnicodeGraphemesAddon } from "@xterm/addon-unicode-graphemes";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { WebglAddon } from "@xterm/addon-webgl";
import { Terminal } from "@xterm/xterm";
import { Characters } from "./characters.ts";
import { FONT_FAMILY, FONT_SIZE, fontsLoaded } from "./fonts.ts";
import type { Size } from "./frames.ts";
import type { Screen } from "./output.ts";
import { watchTheme } from "./theme.ts";

const FONT_PATIENCE = 1000; // ms; then the terminal opens with a fallback font and is measured again later
const MIN_FONT_SIZE = 6; // px, when somebody else's larger terminal is scaled down
// CAN ends a half-received sequence or character; the OSCs give back colours that a program has changed.
const CLEAN = "\x18\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\";

export interface TerminalEvents {
  input(bytes: Uint8Array): void;
  resized(size: Size): void;
}

const encoder = new TextEncoder();

// Renderers that compute on the CPU: drawing one frame with them blocks the page for 100 ms and more, the DOM takes a tenth.
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/** Whether there is a GPU behind WebGL 2. */
function accelerated(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext(); // a page may have few contexts
  return !SOFTWARE.test(renderer);
}

export class TerminalView implements Screen {
  readonly term: Terminal;
  private readonly fitter = new FitAddon();
  private readonly host: HTMLElement;
  private readonly events: TerminalEvents;
  private readonly characters = new Characters();
  private readonly observer: ResizeObserver;
  private readonly stopTheme: () => void;
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
    const hint = { hover: () => this.hint(true), leave: () => this.hint(false) };
    this.term = new Terminal({
      allowProposedApi: true, // the Unicode addon needs it
      fontFamily: FONT_FAMILY, fontSize: FONT_SIZE,
      scrollback: 10_000,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      macOptionIsMeta: true,
      minimumContrastRatio: 4.5, // programs choose colours for backgrounds that aren't ours
      rescaleOverlappingGlyphs: true,
      screenReaderMode: new URLSearchParams(location.search).get("reader") === "on",
      linkHandler: { activate, ...hint },
    });
    this.stopTheme = watchTheme((theme) => (this.term.options.theme = theme));
    this.term.loadAddon(new UnicodeGraphemesAddon());
    this.term.loadAddon(new WebLinksAddon(activate, hint));
    this.term.loadAddon(this.fitter);
    this.swallowQueries();
    this.term.open(host);
    this.term.textarea?.setAttribute("aria-label", `${label}. Ctrl+Shift+Escape or Ctrl+Shift+Up leaves the terminal.`);
    this.useWebgl();
    this.term.onData((data) => this.onData(data));
    this.term.onBinary((data) => this.events.input(Uint8Array.from(data, (char) => char.charCodeAt(0))));
    this.fit();
    this.observer = new ResizeObserver(() => this.fitSoon());
    this.observer.observe(host);
    void fontsLoaded.then(() => this.remeasure());
  }

  dispose(): void {
    this.observer.disconnect();
    this.stopTheme();
    this.term.dispose();
  }

  /** Whether this page drives the terminal: its size is then the page's, and queries are answered here. */
  setDriver(driver: boolean, typing: boolean): void {
    this.term.options.disableStdin = !typing;
    if (this.driver === driver) return;
    this.driver = driver;
    if (driver) this.term.options.fontSize = FONT_SIZE;
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
    const amount = bytes < 10_240 ? `${bytes} bytes` : `${Math.round(bytes / 1024)} KiB`;
    this.term.write(`\x18\x1b[0m\r\n\x1b[2m──── ${amount} of output are missing here ────\x1b[0m\r\n`, rendered);
  }

  /** Shows the driver's size, in a smaller font where it doesn't fit. */
  follow(size: Size): void {
    if (this.driver) return;
    this.term.options.fontSize = FONT_SIZE;
    const room = this.fitter.proposeDimensions();
    this.term.resize(size.cols, size.rows);
    if (!room) return;
    const scale = Math.min(1, room.cols / size.cols, room.rows / size.rows);
    this.term.options.fontSize = Math.max(MIN_FONT_SIZE, Math.floor(FONT_SIZE * scale * 2) / 2);
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

  private useWebgl(): void {
    if (!accelerated()) return;
    try {
      const webgl = new WebglAddon();
      webgl.onContextLoss(() => webgl.dispose()); // xterm then draws with the DOM
      this.term.loadAddon(webgl);
    } catch {
      // No WebGL 2 here: xterm draws with the DOM.
    }
  }

  // --- input

  private onData(data: string): void {
    // Switching focus reports on makes xterm report at once; in a replay nobody asked.
    if (this.muted && (data === "\x1b[I" || data === "\x1b[O")) return;
    this.events.input(encoder.encode(data));
  }

  private get muted(): boolean {
    return this.replaying || !this.driver;
  }

  /** Only the driver answers queries, and only those that nobody has seen before. Keystrokes pass: they aren't parsed. */
  private swallowQueries(): void {
    const parser = this.term.parser;
    const muted = () => this.muted;
    for (const prefix of ["", ">", "="]) parser.registerCsiHandler({ ...(prefix && { prefix }), final: "c" }, muted); // DA
    for (const prefix of ["", "?"]) {
      parser.registerCsiHandler({ ...(prefix && { prefix }), final: "n" }, muted); // DSR
      parser.registerCsiHandler({ ...(prefix && { prefix }), intermediates: "$", final: "p" }, muted); // DECRQM
    }
    parser.registerCsiHandler({ prefix: ">", final: "q" }, muted); // XTVERSION
    parser.registerCsiHandler({ final: "t" }, muted); // window reports
    parser.registerDcsHandler({ intermediates: "$", final: "q" }, muted); // DECRQSS
    parser.registerDcsHandler({ intermediates: "+", final: "q" }, muted); // XTGETTCAP
    for (const osc of [4, 10, 11, 12]) parser.registerOscHandler(osc, (data) => this.muted && data.includes("?"));
  }

  private openLink(event: MouseEvent, uri: string): void {
    if (event.ctrlKey || event.metaKey) window.open(uri, "_blank", "noopener,noreferrer");
  }

  private hint(shown: boolean): void {
    this.host.title = shown ? "Ctrl-click (⌘-click on a Mac) opens the link" : "";
  }
}
