// The bar that finds text in a terminal's scrollback.

import type { ISearchOptions } from "@xterm/addon-search";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { text } from "../ui/strings.ts";
import type { Tab } from "./tab.ts";

// Outlines, so that they are seen on every theme and no colour is needed to tell them apart.
const DECORATIONS = {
  matchBorder: "#b58900", matchOverviewRuler: "#b58900", activeMatchBorder: "#ff8c00", activeMatchBackground: "#ffd479", activeMatchColorOverviewRuler: "#ff8c00",
};

export function SearchBar({ tab, onClose }: { tab: Tab; onClose: () => void }) {
  const [wanted, setWanted] = useState("");
  const [options, setOptions] = useState({ caseSensitive: false, regex: false });
  const [found, setFound] = useState<{ at: number; count: number } | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const search = tab.view?.search;
  const bad = options.regex && !valid(wanted);

  useLayoutEffect(() => field.current?.focus(), []);
  useEffect(() => {
    const results = search?.onDidChangeResults(({ resultIndex, resultCount }) => setFound({ at: resultIndex + 1, count: resultCount }));
    return () => { results?.dispose(); search?.clearDecorations(); };
  }, [search]);
  const go = (forward: boolean, incremental = false) => {
    if (!search || !wanted || bad) return;
    const asked: ISearchOptions = { ...options, decorations: DECORATIONS };
    if (forward) search.findNext(wanted, { ...asked, incremental });
    else search.findPrevious(wanted, { ...asked, incremental });
  };
  useEffect(() => {
    // The latest output is what people look for first.
    if (wanted && !bad) go(false, true);
    else { search?.clearDecorations(); setFound(null); }
  }, [wanted, options.caseSensitive, options.regex]);

  const keys = (event: KeyboardEvent) => {
    if (event.key === "Enter" && event.target === field.current) go(event.shiftKey);
    else if (event.key === "Escape") onClose();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const words = text.search;
  return (
    <div class="search" role="search" onKeyDown={keys}>
      <input ref={field} type="search" aria-label={words.label} placeholder={words.label} value={wanted} aria-invalid={bad} spellcheck={false}
        autocomplete="off" autocapitalize="none" onInput={(event) => setWanted(event.currentTarget.value)} />
      <span class="search-found" role="status">{bad ? words.badRegex : wanted && found ? words.found(found.at, found.count) : ""}</span>
      <Toggle label="Aa" title={words.matchCase} on={options.caseSensitive} flip={(caseSensitive) => setOptions({ ...options, caseSensitive })} />
      <Toggle label=".*" title={words.regex} on={options.regex} flip={(regex) => setOptions({ ...options, regex })} />
      <button type="button" class="button button-small" title={`${words.previous} (Enter)`} aria-label={words.previous} onClick={() => go(false)}>↑</button>
      <button type="button" class="button button-small" title={`${words.next} (Shift+Enter)`} aria-label={words.next} onClick={() => go(true)}>↓</button>
      <button type="button" class="button button-small" title={`${text.close} (Esc)`} aria-label={text.close} onClick={onClose}>×</button>
    </div>
  );
}

function Toggle({ label, title, on, flip }: { label: string; title: string; on: boolean; flip: (on: boolean) => void }) {
  return <button type="button" class="button button-small" title={title} aria-label={title} aria-pressed={on} onClick={() => flip(!on)}>{label}</button>;
}

function valid(expression: string): boolean {
  try {
    new RegExp(expression);
    return true;
  } catch {
    return false;
  }
}
