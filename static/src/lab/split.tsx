// Lesson and terminal beside each other with a splitter between them; on narrow screens one at a time, changed by a switch or a swipe.

import type { ComponentChildren } from "preact";
import { useEffect, useReducer, useRef } from "preact/hooks";
import { setSplit, SPLIT, useSettings } from "../ui/settings.ts";
import { text } from "../ui/strings.ts";

export type Pane = "lesson" | "terminal";

const STEP = 2; // percent for an arrow key
const narrowScreen = matchMedia("(max-width: 720px)");
const SCROLLED = ".key-row, .tablist, input"; // what is itself moved to the side
const SWIPE = { least: 60, straight: 2, within: 600 }; // px; how much longer than high; ms

export function useNarrow(): boolean {
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  useEffect(() => {
    const changed = () => redraw();
    narrowScreen.addEventListener("change", changed);
    return () => narrowScreen.removeEventListener("change", changed);
  }, []);
  return narrowScreen.matches;
}

export interface SplitProps { pane: Pane; onPane: (pane: Pane) => void; lesson: ComponentChildren; children: ComponentChildren }

export function Split({ pane, onPane, lesson, children }: SplitProps) {
  const { lessonShown, split } = useSettings();
  const narrow = useNarrow();
  const box = useRef<HTMLDivElement>(null);
  useSwipe(box, narrow, onPane);
  const showsLesson = lesson !== null && (narrow ? pane === "lesson" : lessonShown);
  const showsTerminal = !narrow || pane === "terminal";
  return (
    <div ref={box} class="split" data-pane={pane} style={{ "--split": `${split}%` }}>
      <aside class={`pane pane-lesson${showsLesson ? "" : " pane-away"}`} id="pane-lesson" aria-label={text.lab.lesson} tabIndex={-1} inert={!showsLesson}>
        {lesson}
      </aside>
      <main class={`pane pane-terminal${showsTerminal ? "" : " pane-away"}`} id="pane-terminal" inert={!showsTerminal}>
        {!narrow && showsLesson && <Splitter box={box} split={split} />}
        {children}
      </main>
    </div>
  );
}

/** Dragged, or moved by arrow keys; a double click gives the usual width back. */
function Splitter({ box, split }: { box: { current: HTMLDivElement | null }; split: number }) {
  const move = setSplit;
  const drag = (event: PointerEvent) => {
    if (event.buttons !== 1 || !box.current) return;
    const { left, width } = box.current.getBoundingClientRect();
    move(((event.clientX - left) / width) * 100);
  };
  const keys = (event: KeyboardEvent) => {
    const to = { ArrowLeft: split - STEP, ArrowRight: split + STEP, Home: SPLIT.least, End: SPLIT.most, Enter: SPLIT.usual }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    move(to);
  };
  return (
    <div class="splitter" role="separator" tabIndex={0} aria-orientation="vertical" aria-label={text.lab.splitter} aria-controls="pane-lesson"
      aria-valuenow={Math.round(split)} aria-valuemin={SPLIT.least} aria-valuemax={SPLIT.most} title={text.lab.splitter}
      onPointerDown={(event) => { event.currentTarget.setPointerCapture(event.pointerId); event.preventDefault(); event.currentTarget.focus(); }}
      onPointerMove={drag} onDblClick={() => move(SPLIT.usual)} onKeyDown={keys} />
  );
}

export function PaneSwitch({ pane, onPane }: { pane: Pane; onPane: (pane: Pane) => void }) {
  return (
    <div class="pane-switch" role="group" aria-label={text.lab.panes}>
      {(["lesson", "terminal"] as const).map((name) => (
        <button key={name} type="button" class="button button-quiet" aria-pressed={pane === name} onClick={() => onPane(name)}>{text.lab[name]}</button>
      ))}
    </div>
  );
}

/** A quick, level stroke of one finger: to the left shows the terminal, to the right the lesson. */
function useSwipe(box: { current: HTMLElement | null }, on: boolean, onPane: (pane: Pane) => void): void {
  const act = useRef(onPane);
  act.current = onPane;
  useEffect(() => {
    const element = box.current;
    if (!on || !element) return;
    let from: { x: number; y: number; at: number } | null = null;
    const down = (event: TouchEvent) => {
      from = null;
      if ((event.target as Element).closest(SCROLLED)) return;
      const touch = event.touches[0]!;
      from = event.touches.length === 1 ? { x: touch.clientX, y: touch.clientY, at: event.timeStamp } : null;
    };
    const up = (event: TouchEvent) => {
      const touch = event.changedTouches[0]!;
      if (!from || event.timeStamp - from.at > SWIPE.within) return;
      const [x, y] = [touch.clientX - from.x, touch.clientY - from.y];
      from = null;
      if (Math.abs(x) >= SWIPE.least && Math.abs(x) > SWIPE.straight * Math.abs(y)) act.current(x < 0 ? "terminal" : "lesson");
    };
    const options = { passive: true, capture: true };
    element.addEventListener("touchstart", down, options);
    element.addEventListener("touchend", up, options);
    return () => {
      element.removeEventListener("touchstart", down, options);
      element.removeEventListener("touchend", up, options);
    };
  }, [on]);
}

/** Keeps the page above a soft keyboard that covers it: not every browser makes the page smaller for it. */
export function useVisibleHeight(): void {
  useEffect(() => {
    const viewport = visualViewport;
    if (!viewport) return;
    const fit = () => {
      const covered = viewport.scale === 1 && innerHeight - viewport.height > 1;
      document.documentElement.style.setProperty("--height", covered ? `${viewport.height}px` : "100dvh");
      if (covered) scrollTo(0, 0);
    };
    viewport.addEventListener("resize", fit);
    return () => viewport.removeEventListener("resize", fit);
  }, []);
}
