// The row of keys that soft keyboards lack.

import { useEffect, useReducer } from "preact/hooks";
import type { Arrow, Stick } from "../terminal/keys.ts";
import { useSettings } from "../ui/settings.ts";
import { text } from "../ui/strings.ts";
import type { Tab } from "./tab.ts";

const touchScreen = matchMedia("(pointer: coarse)");
const ARROWS: readonly (readonly [Arrow, string])[] = [["left", "←"], ["down", "↓"], ["up", "↑"], ["right", "→"]];
const SIGNS = ["|", "/", "-", "~"];

export function useKeyRow(): boolean {
  const { keyRow } = useSettings();
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  useEffect(() => {
    const changed = () => redraw();
    touchScreen.addEventListener("change", changed);
    return () => touchScreen.removeEventListener("change", changed);
  }, []);
  return keyRow === "on" || (keyRow === "auto" && touchScreen.matches);
}

export function KeyRow({ tab }: { tab: Tab }) {
  const { view } = tab;
  const words = text.keys;
  const type = (data: string) => view?.type(data);
  const paste = async () => {
    try {
      view?.paste(await navigator.clipboard.readText());
    } catch {
      tab.raise({ kind: "paste-how" }); // the browser refused, or has no such thing
    }
  };
  return (
    <div class="key-row" role="toolbar" aria-label={words.row}>
      <Key label={words.escape} press={() => type("\x1b")} />
      <Key label={words.tab} press={() => type("\t")} />
      <Sticky label={words.ctrl} stick={view?.modifiers.ctrl ?? "off"} press={() => view?.modifiers.tap("ctrl")} />
      <Sticky label={words.alt} stick={view?.modifiers.alt ?? "off"} press={() => view?.modifiers.tap("alt")} />
      {ARROWS.map(([arrow, mark]) => <Key key={arrow} label={mark} says={words[arrow]} press={() => view?.arrow(arrow)} />)}
      <Key label={words.paste} press={() => void paste()} />
      {SIGNS.map((sign) => <Key key={sign} label={sign} press={() => type(sign)} />)}
    </div>
  );
}

/** The terminal keeps the focus, and with it the soft keyboard: a button never takes it from a finger. */
const keepFocus = (event: Event) => event.preventDefault();

function Key({ label, says, press }: { label: string; says?: string; press: () => void }) {
  return <button type="button" class="key" aria-label={says} onPointerDown={keepFocus} onMouseDown={keepFocus} onClick={press}>{label}</button>;
}

function Sticky({ label, stick, press }: { label: string; stick: Stick; press: () => void }) {
  const says = text.keys.stick[stick];
  return (
    <button type="button" class={`key key-${stick}`} aria-pressed={stick !== "off"} aria-label={says ? `${label}, ${says}` : label}
      onPointerDown={keepFocus} onMouseDown={keepFocus} onClick={press}>{label}{stick === "locked" && <span aria-hidden="true">!</span>}</button>
  );
}
