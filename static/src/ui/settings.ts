// What a person has chosen about the page, remembered in this browser.

import { useEffect, useReducer } from "preact/hooks";

export interface Settings {
  theme: "system" | "light" | "dark";
  colours: "page" | "dark" | "light" | "contrast" | "solarized-dark" | "solarized-light";
  fontSize: number; // px
  reader: boolean; // the emulator keeps a copy of its rows for screen readers
  copyOnSelect: boolean;
  keyRow: "auto" | "on" | "off";
  lessonShown: boolean;
  split: number; // the lesson's share of the width, in percent
}

export const FONT_SIZES = { least: 9, most: 32, usual: 15 } as const;
export const SPLIT = { least: 20, most: 70, usual: 36 } as const;

const USUAL: Settings = {
  theme: "system", colours: "page", fontSize: FONT_SIZES.usual, reader: false, copyOnSelect: false, keyRow: "auto",
  lessonShown: true, split: SPLIT.usual,
};
const ALLOWED: { readonly [Name in keyof Settings]: (value: unknown) => boolean } = {
  theme: oneOf("system", "light", "dark"),
  colours: oneOf("page", "dark", "light", "contrast", "solarized-dark", "solarized-light"),
  fontSize: between(FONT_SIZES.least, FONT_SIZES.most),
  reader: isBoolean,
  copyOnSelect: isBoolean,
  keyRow: oneOf("auto", "on", "off"),
  lessonShown: isBoolean,
  split: between(SPLIT.least, SPLIT.most),
};
const KEY = "educenter.settings";
// The server reads it, so that a page is never painted in the wrong theme first.
const THEME_COOKIE = "educenter-theme";
const YEAR = 31_536_000; // seconds

let current = load();
const listeners = new Set<() => void>();

export function settings(): Readonly<Settings> {
  return current;
}

/** The lesson's width, within what leaves both sides usable. */
export function setSplit(percent: number): void {
  set({ split: Math.round(Math.min(SPLIT.most, Math.max(SPLIT.least, percent)) * 10) / 10 });
}

/** Changes some; they hold in every open tab of this browser. */
export function set(change: Partial<Settings>): void {
  current = { ...current, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // Storage is full or forbidden here: the choice holds for this page.
  }
  apply();
}

/** Calls back after every change; returns how to stop. */
export function onSettings(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** For components: redraws when something changed. */
export function useSettings(): Readonly<Settings> {
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  useEffect(() => onSettings(() => redraw()), []);
  return current;
}

const systemDark = matchMedia("(prefers-color-scheme: dark)");

export function isDark(): boolean {
  return current.theme === "system" ? systemDark.matches : current.theme === "dark";
}

function apply(): void {
  const { theme } = current;
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  const age = theme === "system" ? 0 : YEAR;
  document.cookie = `${THEME_COOKIE}=${theme}; path=/; max-age=${age}; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
  for (const listener of listeners) listener();
}

function load(): Settings {
  let stored: unknown = null;
  try {
    stored = JSON.parse(localStorage.getItem(KEY) ?? "null");
  } catch {
    // Not ours, or not readable: the usual ones.
  }
  if (typeof stored !== "object" || stored === null) return { ...USUAL };
  const kept = Object.entries(stored).filter(([name, value]) => name in ALLOWED && ALLOWED[name as keyof Settings](value));
  return { ...USUAL, ...Object.fromEntries(kept) };
}

function oneOf(...names: string[]) {
  return (value: unknown) => typeof value === "string" && names.includes(value);
}

function between(least: number, most: number) {
  return (value: unknown) => typeof value === "number" && value >= least && value <= most;
}

function isBoolean(value: unknown): boolean {
  return typeof value === "boolean";
}

systemDark.addEventListener("change", () => { for (const listener of listeners) listener(); });
addEventListener("storage", (event) => {
  if (event.key !== KEY) return;
  current = load();
  apply();
});
apply();
