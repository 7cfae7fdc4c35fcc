// Scrolling by finger, which xterm.js 6 has not: through the scrollback, or as the wheel of a mouse to a program that has the screen for itself.

import type { Terminal } from "@xterm/xterm";

const GLIDE = { from: 0.3, until: 0.05, kept: 0.95 }; // px per ms to begin with and to end at; what is left of the speed after a frame
const FRAME = 16; // ms
const STALE = 60; // ms that a finger may rest before it is lifted and still throw

/** One finger's stroke up or down; returns how to stop listening. */
export function scrollByTouch(term: Terminal, host: HTMLElement): () => void {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let last: { y: number; at: number } | null = null;
  let speed = 0; // px per ms, down is positive
  let rest = 0; // px that aren't a whole row yet
  let gliding = 0;

  const move = (pixels: number) => {
    const row = (term.element?.querySelector(".xterm-screen")?.clientHeight ?? 0) / term.rows;
    if (row === 0) return;
    rest += pixels;
    const rows = Math.trunc(rest / row);
    rest -= rows * row;
    if (rows !== 0) scroll(term, -rows);
  };
  const glide = () => {
    speed *= GLIDE.kept;
    if (Math.abs(speed) < GLIDE.until) return;
    move(speed * FRAME);
    gliding = requestAnimationFrame(glide);
  };
  const down = (event: TouchEvent) => {
    cancelAnimationFrame(gliding);
    const touch = event.touches[0]!;
    last = event.touches.length === 1 ? { y: touch.clientY, at: event.timeStamp } : null;
    speed = rest = 0;
  };
  const drag = (event: TouchEvent) => {
    const touch = event.touches[0]!;
    if (!last || event.touches.length !== 1) return;
    const [pixels, ms] = [touch.clientY - last.y, Math.max(1, event.timeStamp - last.at)];
    speed = 0.6 * (pixels / ms) + 0.4 * speed;
    last = { y: touch.clientY, at: event.timeStamp };
    move(pixels);
  };
  const up = (event: TouchEvent) => {
    const thrown = last !== null && event.timeStamp - last.at < STALE && Math.abs(speed) > GLIDE.from && !still.matches;
    last = null;
    if (thrown) gliding = requestAnimationFrame(glide);
  };
  const passive = { passive: true };
  host.addEventListener("touchstart", down, passive);
  host.addEventListener("touchmove", drag, passive);
  host.addEventListener("touchend", up, passive);
  return () => {
    cancelAnimationFrame(gliding);
    host.removeEventListener("touchstart", down);
    host.removeEventListener("touchmove", drag);
    host.removeEventListener("touchend", up);
  };
}

/** `rows` down, or up when negative. */
function scroll(term: Terminal, rows: number): void {
  if (term.buffer.active.type === "normal" && term.modes.mouseTrackingMode === "none") return term.scrollLines(rows);
  // xterm.js makes of a wheel what the program has asked for: reports of the mouse, or arrow keys.
  const screen = term.element?.querySelector(".xterm-screen");
  const box = screen?.getBoundingClientRect();
  if (!screen || !box) return;
  const wheel = {
    deltaY: Math.sign(rows), deltaMode: WheelEvent.DOM_DELTA_LINE, bubbles: true, cancelable: true,
    clientX: box.left + box.width / 2, clientY: box.top + box.height / 2,
  };
  for (let count = Math.abs(rows); count > 0; count--) screen.dispatchEvent(new WheelEvent("wheel", wheel));
}
