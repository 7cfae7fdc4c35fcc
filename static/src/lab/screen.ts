// Full screen, where browsers that can leave all keys to the page.

import { useEffect, useReducer } from "preact/hooks";

interface Keyboard { lock?: () => Promise<void>; unlock?: () => void }

const keyboard = (navigator as Navigator & { keyboard?: Keyboard }).keyboard;

/** Whether the page fills the screen, and a switch; the switch is null where the browser has none (phones). */
export function useFullScreen(): { full: boolean; toggle: (() => void) | null } {
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  useEffect(() => {
    const changed = () => {
      if (!document.fullscreenElement) keyboard?.unlock?.();
      redraw();
    };
    document.addEventListener("fullscreenchange", changed);
    return () => document.removeEventListener("fullscreenchange", changed);
  }, []);
  return { full: document.fullscreenElement !== null, toggle: document.fullscreenEnabled ? () => void toggle() : null };
}

async function toggle(): Promise<void> {
  try {
    if (document.fullscreenElement) return await document.exitFullscreen();
    await document.documentElement.requestFullscreen();
    await keyboard?.lock?.();
  } catch {
    // The browser said no (it wants a key or a click right before): nothing has changed.
  }
}
