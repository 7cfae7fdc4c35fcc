// The page's own keys: all are Ctrl-Shift-…, so that the shell keeps its keys.

import { useEffect } from "preact/hooks";
import { Dialog } from "./ui.tsx";

export interface Shortcut { keys: string; label: string; match: (event: KeyboardEvent) => boolean; run: () => void }

/** Runs in the capture phase, before the emulator sees the key. */
export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
      const shortcut = shortcuts.find((candidate) => candidate.match(event));
      if (!shortcut) return;
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) shortcut.run();
    };
    document.addEventListener("keydown", onKey, true);
    return () => document.removeEventListener("keydown", onKey, true);
  });
}

export function key(...names: string[]): (event: KeyboardEvent) => boolean {
  return (event) => names.includes(event.key) || names.includes(event.code);
}

export function ShortcutsDialog({ shortcuts, onClose }: { shortcuts: readonly Shortcut[]; onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <table class="shortcuts">
        <tbody>
          {shortcuts.map(({ keys, label }) => <tr key={keys}><th scope="row"><kbd>{keys}</kbd></th><td>{label}</td></tr>)}
          <tr><th scope="row"><kbd>Ctrl+Shift+V</kbd></th><td>Paste</td></tr>
          <tr><th scope="row"><kbd>Ctrl</kbd>-click</th><td>Open a link (⌘-click on a Mac)</td></tr>
        </tbody>
      </table>
      <p>All other keys go to the shell.{" "}
        {location.search.includes("reader=on")
          ? <a href={location.pathname}>Screen reader mode off</a>
          : <a href="?reader=on">Screen reader mode on</a>}
      </p>
      <div class="buttons"><button type="button" class="button button-primary" autofocus onClick={onClose}>Close</button></div>
    </Dialog>
  );
}

/** The selection of a terminal to the clipboard; without the clipboard's API (plain http) by the browser's own copy. */
export async function copySelection(text: string): Promise<boolean> {
  if (!text) return false;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return document.execCommand("copy");
  }
}
