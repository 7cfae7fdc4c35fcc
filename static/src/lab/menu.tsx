// The lab's menu: what can be done, and how the terminal looks.

import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { FONT_SIZES, set, setSplit, type Settings, SPLIT, useSettings } from "../ui/settings.ts";
import { text } from "../ui/strings.ts";
import { ThemeSwitch } from "../ui/ui.tsx";

/** `hint`: what it does, where its name doesn't say all. */
export interface MenuEntry { label: string; hint?: string; keys?: string | undefined; run: () => void; danger?: boolean }

/** `network`: what the lab may reach. `splits`: a lesson stands beside the terminal, and its width can be changed. */
export interface MenuProps { entries: readonly MenuEntry[]; network: string; splits: boolean; open: boolean; onOpen: (open: boolean) => void }

export function Menu({ entries, network, splits, open, onOpen }: MenuProps) {
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const before = useRef<Element | null>(null);
  useLayoutEffect(() => {
    if (!open) return;
    before.current = document.activeElement;
    box.current!.querySelector<HTMLElement>("button")?.focus();
    const outside = (event: Event) => {
      const target = event.target as Node;
      if (!box.current?.contains(target) && !opener.current?.contains(target)) onOpen(false);
    };
    document.addEventListener("pointerdown", outside, true);
    document.addEventListener("focusin", outside);
    return () => {
      document.removeEventListener("pointerdown", outside, true);
      document.removeEventListener("focusin", outside);
      // Closed from outside (its button, its key): what had the focus in it is gone.
      if (document.activeElement === document.body) back();
    };
  }, [open]);
  const back = () => (before.current instanceof HTMLElement && before.current !== document.body ? before.current : opener.current)?.focus();
  const close = () => {
    onOpen(false);
    back();
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key === "Escape") { event.stopPropagation(); return close(); }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp" || event.target instanceof HTMLSelectElement) return;
    const stops = [...box.current!.querySelectorAll<HTMLElement>("button, select, input")];
    const at = stops.indexOf(document.activeElement as HTMLElement) + (event.key === "ArrowDown" ? 1 : -1);
    stops[(at + stops.length) % stops.length]?.focus();
    event.preventDefault();
  };
  return (
    <div class="menu-place">
      <button ref={opener} type="button" class="button button-quiet menu-button" aria-expanded={open} aria-controls={id} aria-label={text.menu.open}
        title={`${text.menu.open} (Ctrl+Shift+M)`} onMouseDown={keepFocus} onClick={() => onOpen(!open)}><span aria-hidden="true">☰</span></button>
      {open && <div ref={box} id={id} class="menu" role="group" aria-label={text.menu.open} onKeyDown={keys}>
        {entries.filter((entry) => !entry.danger).map((entry) => <Entry key={entry.label} entry={entry} close={close} />)}
        <hr />
        <Look splits={splits} />
        <div class="menu-line menu-network"><span>{text.lab.network}</span><span>{network}</span></div>
        <hr />
        {entries.filter((entry) => entry.danger).map((entry) => <Entry key={entry.label} entry={entry} close={close} />)}
      </div>}
    </div>
  );
}

/** So that a menu opened with the mouse leads back into the terminal. */
function keepFocus(event: MouseEvent): void {
  event.preventDefault();
}

function Entry({ entry, close }: { entry: MenuEntry; close: () => void }) {
  return (
    <button type="button" class={`menu-entry${entry.danger ? " menu-danger" : ""}`} onClick={() => { close(); entry.run(); }}>
      <span>{entry.label}{entry.hint && <small>{entry.hint}</small>}</span>{entry.keys && <kbd>{entry.keys}</kbd>}
    </button>
  );
}

/** Larger by one, smaller by one. */
export function zoom(by: number, now: number): void {
  set({ fontSize: Math.min(FONT_SIZES.most, Math.max(FONT_SIZES.least, now + by)) });
}

const WIDER = 5; // percent of the page

function Look({ splits }: { splits: boolean }) {
  const { fontSize, split, reader, copyOnSelect } = useSettings();
  const words = text.menu;
  return (
    <div class="menu-look">
      <div class="menu-line">
        <span>{words.textSize}</span>
        <span class="stepper">
          <button type="button" class="button button-small" aria-label={words.smaller} title={words.smaller} onClick={() => zoom(-1, fontSize)}>A−</button>
          <button type="button" class="button button-small" title={words.usualSize} onClick={() => set({ fontSize: FONT_SIZES.usual })}>{fontSize}</button>
          <button type="button" class="button button-small" aria-label={words.larger} title={words.larger} onClick={() => zoom(1, fontSize)}>A+</button>
        </span>
      </div>
      {splits && <div class="menu-line">
        <span>{words.lessonWidth}</span>
        <span class="stepper">
          <button type="button" class="button button-small" aria-label={words.narrower} title={words.narrower} onClick={() => setSplit(split - WIDER)}>−</button>
          <button type="button" class="button button-small" title={words.usualWidth} onClick={() => setSplit(SPLIT.usual)}>{Math.round(split)} %</button>
          <button type="button" class="button button-small" aria-label={words.wider} title={words.wider} onClick={() => setSplit(split + WIDER)}>+</button>
        </span>
      </div>}
      <div class="menu-line"><span>{text.theme.label}</span><ThemeSwitch words /></div>
      <Choice name="colours" label={words.colours} options={words.colourNames} />
      <Choice name="keyRow" label={words.keyRow} options={words.keyRowNames} />
      <Switch name="reader" label={words.reader} hint={words.readerHint} on={reader} />
      <Switch name="copyOnSelect" label={words.copyOnSelect} on={copyOnSelect} />
    </div>
  );
}

function Choice<Name extends "colours" | "keyRow">({ name, label, options }: { name: Name; label: string; options: Record<Settings[Name], string> }) {
  const chosen = useSettings()[name];
  return (
    <label class="menu-line"><span>{label}</span>
      <select value={chosen} onChange={(event) => set({ [name]: event.currentTarget.value } as Partial<Settings>)}>
        {Object.entries<string>(options).map(([value, words]) => <option key={value} value={value} selected={value === chosen}>{words}</option>)}
      </select>
    </label>
  );
}

function Switch({ name, label, hint, on }: { name: "reader" | "copyOnSelect"; label: string; hint?: string; on: boolean }) {
  const id = useId();
  return (
    <label class="menu-line"><span>{label}{hint && <small id={id}>{hint}</small>}</span>
      <input type="checkbox" checked={on} aria-describedby={hint ? id : undefined} onChange={(event) => set({ [name]: event.currentTarget.checked })} />
    </label>
  );
}
