// A live session's terminals: tabs, the terminals themselves, and the session's header.

import type { Terminal } from "@xterm/xterm";
import { useEffect, useRef, useState } from "preact/hooks";
import { asApiError, type Session } from "./api.ts";
import { Bars } from "./bars.tsx";
import { useDesk } from "./desk.ts";
import { copySelection, key, type Shortcut, ShortcutsDialog, useShortcuts } from "./shortcuts.tsx";
import { ConnectionState, spoken } from "./state.tsx";
import { Tab } from "./tab.ts";
import { panelId, tabId, Tabs } from "./tabs.tsx";
import { announce, Confirm, ErrorNote, Header } from "./ui.tsx";

declare global {
  /** For browser tests: the emulator of the selected tab, whose buffer they read. */
  var educenterTerminal: Terminal | undefined;
}

export interface WorkspaceProps { session: Session; onEnd: () => Promise<void>; refresh: () => void }

export function Workspace({ session, onEnd, refresh }: WorkspaceProps) {
  const desk = useDesk(session, refresh);
  const [asking, setAsking] = useState<"end" | "keys" | Tab | null>(null);
  const { tabs, active } = desk;
  const state = active?.connection.state;

  const close = (tab: Tab) => (tab.running ? setAsking(tab) : void desk.close(tab));
  const step = (by: number) => active && desk.select(tabs[(tabs.indexOf(active) + by + tabs.length) % tabs.length]!, true);
  const leave = () => {
    (document.getElementById(active ? tabId(active) : "") ?? document.querySelector<HTMLElement>(".tab-new"))?.focus();
    announce("Left the terminal. You are at its tab. Press Enter to go back in.");
  };
  const shortcuts: Shortcut[] = [
    { keys: "Ctrl+Shift+Enter", label: "New terminal", match: key("Enter"), run: () => void desk.open() },
    { keys: "Ctrl+Shift+→", label: "Next terminal", match: key("ArrowRight"), run: () => step(1) },
    { keys: "Ctrl+Shift+←", label: "Previous terminal", match: key("ArrowLeft"), run: () => step(-1) },
    { keys: "Ctrl+Shift+X", label: "Close this terminal", match: key("KeyX"), run: () => active && close(active) },
    { keys: "Ctrl+Shift+↑", label: "Leave the terminal (Ctrl+Shift+Escape, too)", match: key("ArrowUp", "Escape"), run: leave },
    { keys: "Ctrl+Shift+C", label: "Copy the selection", match: key("KeyC"), run: () => void copy(active) },
    { keys: "Ctrl+Shift+F1", label: "This list", match: key("F1"), run: () => setAsking("keys") },
  ];
  useShortcuts(shortcuts);

  useEffect(() => {
    document.documentElement.dataset["terminalState"] = state?.name ?? "none";
    globalThis.educenterTerminal = active?.view?.term;
  });
  useEffect(() => { if (state) announce(spoken(state)); }, [state?.name]);

  return (
    <div class="lab">
      <Header title={session.lesson.title}>
        {active && <ConnectionState connection={active.connection} focus={desk.enter} />}
        <TimeLeft endsAt={session.ends_at} />
        <button type="button" class="button button-quiet" title="Keyboard (Ctrl+Shift+F1)" onClick={() => setAsking("keys")}>Keys</button>
        <button type="button" class="button button-quiet" onClick={() => setAsking("end")}>End</button>
      </Header>
      <main class="desk">
        <Tabs tabs={tabs} active={active} select={(tab) => desk.select(tab, false)} enter={desk.enter} close={close}
          open={() => void desk.open()} opening={desk.opening} />
        {desk.error && <div class="bars"><div class="bar bar-warn">
          <ErrorNote error={desk.error} /><button type="button" class="button" onClick={desk.forgive}>OK</button>
        </div></div>}
        {active && <Bars tab={active} closeTab={(tab) => void desk.close(tab)} openTab={() => void desk.open()} />}
        <div class="panels">
          {tabs.map((tab) => <Panel key={tab.id} tab={tab} selected={tab === active} />)}
          {tabs.length === 0 && <div class="empty-desk">
            <p>No terminal is open. Your container is still there, with all your files.</p>
            <button type="button" class="button button-primary" onClick={() => void desk.open()}>New terminal</button>
          </div>}
        </div>
      </main>
      {asking === "keys" && <ShortcutsDialog shortcuts={shortcuts} onClose={() => { setAsking(null); desk.enter(); }} />}
      {asking === "end" && <Confirm title="End this lab?" text="Your container and everything in it is deleted." action="End the lab"
        onNo={() => setAsking(null)} onYes={() => { setAsking(null); onEnd().catch((error) => desk.complain(asApiError(error))); }} />}
      {asking instanceof Tab && <Confirm title={`Close terminal ${asking.number}?`} text={`${asking.running ?? "A program"} is still running in it and will be stopped.`}
        action="Close it" onNo={() => setAsking(null)} onYes={() => { setAsking(null); void desk.close(asking); }} />}
    </div>
  );
}

function Panel({ tab, selected }: { tab: Tab; selected: boolean }) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => tab.mount(element.current!), [tab]);
  const { name } = tab.connection.state;
  const dim = name !== "live" && name !== "elsewhere";
  // A hidden panel keeps its layout (so that its terminal has the right size), but nothing in it can be reached.
  return (
    <div ref={element} role="tabpanel" id={panelId(tab)} aria-labelledby={tabId(tab)} inert={!selected}
      class={`panel${selected ? "" : " panel-hidden"}${dim ? " panel-dim" : ""}`} />
  );
}

function TimeLeft({ endsAt }: { endsAt: Session["ends_at"] }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 15_000);
    return () => clearInterval(timer);
  }, []);
  if (endsAt === null || endsAt === undefined) return null;
  const end = typeof endsAt === "number" ? endsAt * 1000 : Date.parse(endsAt);
  const minutes = Math.max(0, Math.ceil((end - now) / 60_000));
  if (!Number.isFinite(minutes)) return null;
  const text = `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
  return <time class="time-left" title="hours and minutes until the lab ends">{text} left</time>;
}

async function copy(tab: Tab | null): Promise<void> {
  if (await copySelection(tab?.view?.term.getSelection() ?? "")) announce("Copied.");
}
