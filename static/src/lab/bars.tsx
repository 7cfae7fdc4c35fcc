// The bars over a terminal that ask or tell something about it.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { cleanTitle } from "../terminal/text.ts";
import { explained } from "./state.tsx";
import type { Tab } from "./tab.ts";
import { text } from "../ui/strings.ts";
import { announce, copyText, sentence } from "../ui/ui.tsx";

const MAX_PREVIEW = 200; // characters

export interface BarActions { closeTab: (tab: Tab) => void; openTab: () => void }

export function Bar({ kind, children }: { kind: "info" | "warn"; children: ComponentChildren }) {
  const bar = useRef<HTMLDivElement>(null);
  // A region that comes with its words in it is silent: they are said by the page's own.
  useEffect(() => announce(bar.current?.querySelector("p")?.textContent ?? ""), []);
  return <div ref={bar} class={`bar bar-${kind}`} role="group">{children}</div>;
}

export function Bars({ tab, closeTab, openTab }: { tab: Tab } & BarActions) {
  const { state } = tab.connection;
  const words = explained(state);
  return (
    <div class="bars">
      {words && <Bar kind="warn"><p>{sentence(words)}</p></Bar>}
      {tab.failed && <Bar kind="warn">
        <p>{text.bars.noEmulator}</p>
        <button type="button" class="button button-primary" onClick={() => location.reload()}>{text.bars.reload}</button>
      </Bar>}
      {tab.connection.refusal && <Bar kind="warn"><p>{sentence(tab.connection.refusal)}</p></Bar>}
      <DoubtBar tab={tab} />
      <ClipboardBar tab={tab} />
      {tab.ask?.kind === "paste-how" && <Bar kind="info">
        <p>{text.terminal.pasteHow}</p>
        <button type="button" class="button" onClick={() => { tab.raise(null); tab.focus(); }}>{text.ok}</button>
      </Bar>}
      {state.name === "elsewhere" && <Bar kind="info">
        <p>{text.bars.elsewhere}</p>
        <button type="button" class="button button-primary" onClick={() => { tab.connection.continueHere(); tab.focus(); }}>{text.bars.continueHere}</button>
      </Bar>}
      {state.name === "exited" && <Bar kind="info">
        <p>{text.bars.exited(state.code)}</p>
        <Replace tab={tab} closeTab={closeTab} openTab={openTab} />
      </Bar>}
      {state.name === "lost" && <Bar kind="warn">
        <p>{sentence(state.message || text.bars.lost)}</p>
        <Replace tab={tab} closeTab={closeTab} openTab={openTab} />
      </Bar>}
      {state.name === "closed" && state.code === 4403 && <Bar kind="warn"><p>{text.bars.forbidden} <code>4403</code></p></Bar>}
    </div>
  );
}

/** Who asks to type, and who may, in any tab: a question that leaves the focus where it is. */
export function AssistBars({ tabs, active }: { tabs: readonly Tab[]; active: Tab | null }) {
  const words = text.assisting;
  return (
    <div class="bars">
      {tabs.flatMap((tab) => tab.connection.watchers.filter(({ asks, types }) => asks || types).map((watcher) => {
        const where = tab === active ? null : tab.label;
        const answer = (allow: boolean) => { tab.connection.grant(watcher, allow); tab.focus(); };
        return (
          <Bar key={`${tab.id} ${watcher.id} ${watcher.types}`} kind={watcher.types ? "warn" : "info"}>
            <p>{watcher.types ? words.types(watcher.name, where) : words.asks(watcher.name, where)}</p>
            <div class="buttons">
              {watcher.types
                ? <button type="button" class="button" onClick={() => answer(false)}>{words.end}</button>
                : <>
                  <button type="button" class="button" onClick={() => answer(false)}>{words.notNow}</button>
                  <button type="button" class="button button-primary" onClick={() => answer(true)}>{words.allow}</button>
                </>}
            </div>
          </Bar>
        );
      }))}
    </div>
  );
}

function Replace({ tab, closeTab, openTab }: { tab: Tab } & BarActions) {
  return (
    <div class="buttons">
      <button type="button" class="button" onClick={() => closeTab(tab)}>{text.bars.closeTab}</button>
      <button type="button" class="button button-primary" onClick={openTab}>{text.tabs.new}</button>
    </div>
  );
}

function DoubtBar({ tab }: { tab: Tab }) {
  const { connection } = tab;
  const { doubt } = connection;
  if (!doubt) return null;
  const answer = (send: boolean) => { connection.answer(send); tab.focus(); };
  switch (doubt.kind) {
    case "question": return (
      <Bar kind="warn">
        <p>{text.bars.question} <kbd class="keys">{doubt.keys}</kbd> {text.bars.questionEnd}</p>
        <div class="buttons">
          <button type="button" class="button" onClick={() => answer(false)}>{text.bars.discard}</button>
          <button type="button" class="button button-primary" onClick={() => answer(true)}>{text.bars.send}</button>
        </div>
      </Bar>
    );
    case "lost": return (
      <Bar kind="warn">
        <p>{text.bars.maybeLost} <kbd class="keys">{doubt.keys}</kbd></p>
        <button type="button" class="button" onClick={() => answer(false)}>{text.ok}</button>
      </Bar>
    );
    case "too-large": return (
      <Bar kind="warn">
        <p>{text.bars.tooLarge}</p>
        <button type="button" class="button" onClick={() => answer(false)}>{text.ok}</button>
      </Bar>
    );
  }
}

/** A program offers text for the clipboard: the person decides, and may go on typing meanwhile. */
function ClipboardBar({ tab }: { tab: Tab }) {
  if (tab.ask?.kind !== "clipboard") return null;
  const offered = tab.ask.text;
  const accept = async () => {
    if (await copyText(offered)) announce(text.copied);
    tab.raise(null);
    tab.focus();
  };
  return (
    <Bar kind="info">
      <p>{text.terminal.clipboardTitle}, {text.terminal.clipboard([...offered].length)} <kbd class="keys">{preview(offered)}</kbd></p>
      <div class="buttons">
        <button type="button" class="button" onClick={() => { tab.raise(null); tab.focus(); }}>{text.terminal.notNow}</button>
        <button type="button" class="button button-primary" onClick={() => void accept()}>{text.terminal.clipboardAction}</button>
      </div>
    </Bar>
  );
}

function preview(offered: string): string {
  return cleanTitle(offered, MAX_PREVIEW);
}
