// A live session: its lesson, its terminals in tabs, and everything around them.

import type { Terminal } from "@xterm/xterm";
import { useEffect, useRef, useState } from "preact/hooks";
import { asApiError, type Hand, type Kept, type Lifetime, type Session } from "../ui/api.ts";
import { settings, set } from "../ui/settings.ts";
import { size, text } from "../ui/strings.ts";
import { announce, copyText, ErrorNote, Header } from "../ui/ui.tsx";
import { type Question, QuestionDialog, TerminalAsk } from "./asks.tsx";
import { AssistBars, Bars } from "./bars.tsx";
import { KeepingBar, TimeLeft, useKeeping } from "./deadline.tsx";
import { useDesk } from "./desk.ts";
import { DropHint, type Files, Uploads, useFiles } from "./files.tsx";
import { HandButton, type RaisedState, useHand } from "./hand.tsx";
import { KeyRow, useKeyRow } from "./keyrow.tsx";
import { lessonText, LessonText } from "./lesson.tsx";
import { Menu, type MenuEntry, zoom } from "./menu.tsx";
import { NetworkNote, reach } from "./network.tsx";
import { useFullScreen } from "./screen.ts";
import { SearchBar } from "./search.tsx";
import { type Shortcut, shortcut, ShortcutsDialog, useShortcuts } from "./shortcuts.tsx";
import { type Pane, PaneSwitch, Split, useNarrow, useVisibleHeight } from "./split.tsx";
import { ConnectionState, spoken, Watchers } from "./state.tsx";
import type { Tab } from "./tab.ts";
import { panelId, tabId, Tabs } from "./tabs.tsx";
import { type Remake, takeNotice, useUpkeep } from "./upkeep.ts";

const HEARD_MS = 1600;
const LOOK_MS = 50;

declare global {
  /** For browser tests: the emulator of the selected tab, whose buffer they read. */
  var educenterTerminal: Terminal | undefined;
}

type Desk = ReturnType<typeof useDesk>;

export interface WorkspaceProps { session: Session; onEnd: () => Promise<void>; refresh: () => void; raised: (hand: Hand | null) => void; kept: (kept: Lifetime) => void }

interface Look { kept: Kept | null; files: Files; most: number; hasText: boolean; pane: Pane; show: (pane: Pane) => void; find: () => void; menu: () => void; hand: RaisedState }

/** What the keyboard, the menu and the buttons do. */
function useActions(desk: Desk, ask: (question: Question | "keys") => void, look: Look) {
  const { tabs, active } = desk;
  const { full, toggle } = useFullScreen();
  const narrow = useNarrow();
  const close = (tab: Tab) => (tab.running ? ask({ kind: "close", tab }) : void desk.close(tab));
  const step = (by: number) => active && desk.select(tabs[(tabs.indexOf(active) + by + tabs.length) % tabs.length]!, true);
  const leave = () => {
    (document.getElementById(active ? tabId(active) : "") ?? document.querySelector<HTMLElement>(".tab-new"))?.focus();
    announce(text.terminal.left);
  };
  const copy = async () => { if (await copyText(active?.view?.term.getSelection() ?? "")) announce(text.copied); };
  const toLesson = () => {
    if (!look.hasText) return;
    look.show("lesson");
    set({ lessonShown: true });
    requestAnimationFrame(() => document.getElementById("pane-lesson")?.focus());
  };
  const lesson = () => {
    if (!look.hasText) return;
    if (narrow) return look.show(look.pane === "lesson" ? "terminal" : "lesson");
    const shown = !settings().lessonShown;
    set({ lessonShown: shown });
    if (!shown) desk.enter();
  };
  const show = (kind: "rename" | "transcript") => active && ask({ kind, tab: active });
  const { kept } = look;
  const remake = (what: Remake) => ask({ kind: "remake", what, kept });
  const words = text.shortcuts.labels;
  const shortcuts: Shortcut[] = [
    shortcut("Ctrl+Shift+Enter", words.open, ["Enter"], () => void desk.open()),
    shortcut("Ctrl+Shift+→", words.next, ["ArrowRight"], () => step(1)),
    shortcut("Ctrl+Shift+←", words.previous, ["ArrowLeft"], () => step(-1)),
    shortcut("Ctrl+Shift+X", words.close, ["KeyX"], () => active && close(active)),
    shortcut("Ctrl+Shift+F2", words.rename, ["F2"], () => show("rename")),
    shortcut("Ctrl+Shift+↑", words.leave, ["ArrowUp", "Escape"], leave),
    shortcut("Ctrl+Shift+↓", words.toLesson, ["ArrowDown"], toLesson),
    shortcut("Ctrl+Shift+L", words.lesson, ["KeyL"], lesson),
    shortcut("Ctrl+Shift+C", words.copy, ["KeyC"], () => void copy()),
    shortcut("Ctrl+Shift+F", words.find, ["KeyF"], look.find),
    shortcut("Ctrl+Shift+O", words.output, ["KeyO"], () => show("transcript")),
    shortcut("Ctrl+Shift+.", words.larger, ["Period"], () => zoom(1, settings().fontSize)),
    shortcut("Ctrl+Shift+,", words.smaller, ["Comma"], () => zoom(-1, settings().fontSize)),
    ...(toggle ? [shortcut("Ctrl+Shift+E", words.full, ["KeyE"], toggle)] : []),
    shortcut("Ctrl+Shift+H", words.hand, ["KeyH"], look.hand.toggle),
    shortcut("Ctrl+Shift+M", words.menu, ["KeyM"], look.menu),
    shortcut("Ctrl+Shift+F1", words.list, ["F1"], () => ask("keys")),
  ];
  const menu: MenuEntry[] = [
    { label: text.tabs.new, keys: "Ctrl+Shift+Enter", run: () => void desk.open() },
    { label: text.menu.rename, keys: "Ctrl+Shift+F2", run: () => show("rename") },
    { label: text.menu.close, keys: "Ctrl+Shift+X", run: () => active && close(active) },
    { label: text.menu.find, keys: "Ctrl+Shift+F", run: look.find },
    { label: text.menu.lastOutput, keys: "Ctrl+Shift+O", run: () => show("transcript") },
    ...(narrow || !look.hasText ? [] : [{ label: settings().lessonShown ? text.lab.hideLesson : text.lab.showLesson, keys: "Ctrl+Shift+L", run: lesson }]),
    ...(toggle ? [{ label: full ? text.menu.leaveFullScreen : text.menu.fullScreen, keys: "Ctrl+Shift+E", run: toggle }] : []),
    { label: look.hand.hand ? text.hand.lowerYours : text.hand.raise, keys: "Ctrl+Shift+H", run: look.hand.toggle },
    { label: text.files.download, hint: text.files.downloadHint, run: look.files.download },
    { label: text.files.choose, hint: text.files.chooseHint(size(look.most)), run: look.files.choose },
    { label: text.menu.keyboard, keys: "Ctrl+Shift+F1", run: () => ask("keys") },
    { label: text.remake.restart, hint: text.remake.restartHint, run: () => remake("restart"), danger: true },
    { label: text.remake.reset, hint: text.remake.resetHint, run: () => remake("reset"), danger: true },
    ...(kept ? [{
      label: text.remake.restore, hint: text.remake.restoreHint(new Date(kept.at), new Date(kept.until)), run: () => remake("restore"), danger: true,
    }] : []),
    { label: text.menu.end, hint: text.menu.endHint, run: () => ask({ kind: "end" }), danger: true },
  ];
  return { shortcuts, menu, close };
}

/** Runs a lesson's command in the selected terminal, unless it would land in a program that takes it for something else. */
async function runCommand(tab: Tab | null, command: string, ask: (question: Question) => void): Promise<string> {
  if (!tab) return text.code.noTerminal;
  if (tab.running && !tab.fullScreen) await over(tab);
  if (!tab.typing) return text.code.notLive;
  if (tab.fullScreen) return text.code.fullScreen(tab.running ?? text.tabs.aProgram);
  if (tab.running) return new Promise((answer) => ask({ kind: "run", tab, command, answer }));
  tab.view!.run(command);
  return text.code.ran;
}

/** A prompt is seen before we hear what it means: that is told once a second. */
async function over(tab: Tab): Promise<void> {
  for (let waited = 0; tab.running && waited < HEARD_MS; waited += LOOK_MS) await new Promise((done) => setTimeout(done, LOOK_MS));
}

export function Workspace({ session, onEnd, refresh, raised, kept }: WorkspaceProps) {
  const desk = useDesk(session, refresh);
  const [question, setQuestion] = useState<Question | "keys" | null>(null);
  const [pane, setPane] = useState<Pane>("terminal");
  const [finding, setFinding] = useState(false);
  const [menuOpen, setMenuOpen] = useState(false);
  const [hasText] = useState(() => lessonText() !== null);
  const narrow = useNarrow();
  const keyRow = useKeyRow();
  const { tabs, active } = desk;
  const state = active?.connection.state;
  /** To a pane, and into the terminal where it is that one: what one comes from can't have the focus any more. */
  const turn = (to: Pane) => {
    setPane(to);
    if (to === "terminal") desk.enter();
  };
  const find = () => {
    setFinding(true);
    document.querySelector<HTMLElement>(".search input")?.focus(); // where it is open already
  };
  const hand = useHand(session, active?.id ?? null, raised, desk.complain);
  const keeping = useKeeping(session, kept, desk.complain, refresh);
  const upkeep = useUpkeep(session, refresh, desk.complain);
  const [notice, setNotice] = useState(() => takeNotice(session.id));
  useEffect(() => { if (notice) announce(notice); }, [notice]);
  const files = useFiles(session, desk.complain);
  const most = session.upload_most ?? 0;
  const { shortcuts, menu, close } = useActions(desk, setQuestion, {
    kept: session.kept ?? null, files, most, hasText, pane, show: turn, find, menu: () => setMenuOpen((open) => !open), hand,
  });
  useShortcuts(shortcuts);
  useVisibleHeight();
  useEffect(() => {
    document.documentElement.dataset["terminalState"] = state?.name ?? "none";
    globalThis.educenterTerminal = active?.view?.term;
    const title = `${session.lesson.title} · ${text.product}`;
    document.title = tabs.some((tab) => tab.rang) ? `● ${title}` : title;
  });
  useEffect(() => { if (state) announce(spoken(state)); }, [state?.name]);
  const run = async (command: string) => {
    const show = () => { if (narrow) turn("terminal"); };
    const said = await runCommand(active, command, (asked) => { show(); setQuestion(asked); });
    if (said === text.code.ran) show();
    return said;
  };
  const back = () => { setQuestion(null); desk.enter(); };
  const acted = session.acted?.act === "restart" && !upkeep.busy ? session.acted.who : null;
  const waits = upkeep.busy ? text.remake.busy[upkeep.busy] : session.restarting ? (acted ? text.remake.byOther(acted) : text.remake.busy.restart) : null;

  return (
    <div class="lab">
      <Header trail={[session.course.title, `${session.lesson.position} ${session.lesson.title}`]}>
        {active && <Watchers connection={active.connection} />}
        {active && <ConnectionState connection={active.connection} focus={desk.enter} />}
        <TimeLeft keeping={keeping} narrow={narrow} />
        <HandButton {...hand} narrow={narrow} />
        {narrow && hasText && <PaneSwitch pane={pane} onPane={turn} />}
        <Menu entries={menu} network={reach(session.network)} splits={hasText && !narrow && settings().lessonShown} open={menuOpen} onOpen={setMenuOpen} />
      </Header>
      <KeepingBar keeping={keeping} used={tabs.some((tab) => tab.attended)} enter={desk.enter} />
      <Split pane={hasText ? pane : "terminal"} onPane={setPane} lesson={hasText ? <><LessonText actions={{ run }} /><NetworkNote network={session.network} /></> : null}>
        <Tabs tabs={tabs} active={active} select={(tab) => desk.select(tab, false)} enter={desk.enter} close={close}
          rename={(tab) => setQuestion({ kind: "rename", tab })} open={() => void desk.open()} opening={desk.opening} />
        {desk.error && <div class="bars"><div class="bar bar-warn">
          <ErrorNote error={desk.error} /><button type="button" class="button" onClick={() => { desk.forgive(); desk.enter(); }}>{text.ok}</button>
        </div></div>}
        {notice && <div class="bars"><div class="bar bar-info" data-notice>
          <p>{notice}</p><button type="button" class="button" onClick={() => { setNotice(null); desk.enter(); }}>{text.ok}</button>
        </div></div>}
        <Uploads files={files} enter={desk.enter} />
        <AssistBars tabs={tabs} active={active} />
        {active && <Bars tab={active} closeTab={(tab) => void desk.close(tab)} openTab={() => void desk.open()} />}
        {active && finding && <SearchBar key={active.id} tab={active} onClose={() => { setFinding(false); desk.enter(); }} />}
        <Panels desk={desk} waits={waits} />
        {files.dropping && <DropHint most={most} />}
        {active && keyRow && <KeyRow tab={active} />}
      </Split>
      {active && <TerminalAsk tab={active} />}
      {question === "keys" && <ShortcutsDialog shortcuts={shortcuts} onClose={back} send={active?.typing ? (data) => active.view?.type(data) : null} />}
      {question && question !== "keys" && <QuestionDialog question={question} done={back} remake={upkeep.start} close={(tab) => void desk.close(tab)}
        rename={(tab, name) => void desk.rename(tab, name)} end={() => { onEnd().catch((error) => desk.complain(asApiError(error))); }} />}
    </div>
  );
}

/** `waits`: why there is no terminal just now. */
function Panels({ desk, waits }: { desk: Desk; waits: string | null }) {
  return (
    <div class="panels">
      {desk.tabs.map((tab) => <Panel key={tab.id} tab={tab} selected={tab === desk.active} />)}
      {desk.tabs.length === 0 && waits && <div class="empty-desk" role="status"><p>{waits}</p></div>}
      {desk.tabs.length === 0 && !waits && <div class="empty-desk">
        <p>{text.lab.noTerminal}</p>
        <button type="button" class="button button-primary" onClick={() => void desk.open()}>{text.tabs.new}</button>
      </div>}
    </div>
  );
}

function Panel({ tab, selected }: { tab: Tab; selected: boolean }) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => tab.mount(element.current!), [tab]);
  const { name } = tab.connection.state;
  const dim = name === "connecting" || name === "reconnecting" || name === "offline";
  // A hidden panel keeps its layout (so that its terminal has the right size), but nothing in it can be reached.
  return (
    <div ref={element} role="tabpanel" id={panelId(tab)} aria-labelledby={tabId(tab)} inert={!selected}
      class={`panel${selected ? "" : " panel-hidden"}${dim ? " panel-dim" : ""}`} />
  );
}
