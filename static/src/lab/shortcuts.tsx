// The page's own keys: all are Ctrl-Shift-…, so that the shell keeps its keys. And those that the browser keeps, with another way.

import { useEffect } from "preact/hooks";
import { Dialog } from "../ui/dialog.tsx";
import { text } from "../ui/strings.ts";

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

// What a key types with Shift, where the place of the key on a US keyboard is named.
const TYPED: Readonly<Record<string, string>> = { Period: ".>", Comma: ",<" };

/**
 * A shortcut by the key's name, or by what it types: letters are where the person's own layout has them. The place on the keyboard counts
 * only for layouts that type no Latin letters.
 */
export function shortcut(keys: string, label: string, names: readonly string[], run: () => void): Shortcut {
  return { keys, label, run, match: (event) => names.some((name) => matches(event, name)) };
}

function matches({ key, code }: KeyboardEvent, name: string): boolean {
  if (key === name) return true;
  const typed = TYPED[name] ?? (/^Key[A-Z]$/.test(name) ? name.slice(3) : null);
  if (typed === null) return code === name;
  return /^[!-~]$/.test(key) ? typed.includes(key.toUpperCase()) : code === name;
}

/** Browsers take these from pages: they close tabs and open windows with them. */
const STOLEN: readonly (readonly [string, string])[] = [
  ["Ctrl+W", "\x17"], ["Ctrl+T", "\x14"], ["Ctrl+N", "\x0e"], ["Ctrl+PageUp", "\x1b[5;5~"], ["Ctrl+PageDown", "\x1b[6;5~"], ["F11", "\x1b[23~"],
];

export interface ShortcutsDialogProps { shortcuts: readonly Shortcut[]; send: ((data: string) => void) | null; onClose: () => void }

export function ShortcutsDialog({ shortcuts, send, onClose }: ShortcutsDialogProps) {
  const words = text.shortcuts;
  const rows = [
    ...shortcuts.map(({ keys, label }) => [keys, label]),
    ["Ctrl+Shift+V", words.labels.paste], [words.linkKeys, words.link], [words.mouseKeys, words.mouse],
  ];
  return (
    <Dialog title={words.title} onClose={onClose} wide>
      <dl class="shortcuts">{rows.map(([keys, label]) => <div key={keys}><dt><kbd>{keys}</kbd></dt><dd>{label}</dd></div>)}</dl>
      <p>{words.others}</p>
      <div class="stolen">
        {STOLEN.map(([keys, data]) => (
          <button key={keys} type="button" class="button button-small" aria-disabled={!send} onClick={() => { onClose(); send?.(data); }}>{words.stolen(keys)}</button>
        ))}
      </div>
      <p class="hint">{words.stolenHint}</p>
      <div class="buttons"><button type="button" class="button button-primary" autofocus onClick={onClose}>{text.close}</button></div>
    </Dialog>
  );
}
