// A student's terminal, as an instructor of the course sees it: exactly what the student sees, scaled, and nothing is sent.

import { useEffect, useReducer, useRef, useState } from "preact/hooks";
import { ConnectionState } from "../lab/state.tsx";
import { Tab } from "../lab/tab.ts";
import "../terminal/fonts.ts";
import { goToSignIn, keepSignedIn } from "../ui/api.ts";
import { text } from "../ui/strings.ts";
import { announce, Centred, Header, show } from "../ui/ui.tsx";
import "@xterm/xterm/css/xterm.css";
import "../css/lab.css";

function Watch({ terminal, student, lesson, course }: { terminal: string; student: string; lesson: string; course: string }) {
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  const [tab] = useState(() => new Tab({ id: terminal, number: 1, name: student }, () => queueMicrotask(() => redraw()), true));
  const panel = useRef<HTMLDivElement>(null);
  const { state, assist } = tab.connection;
  useEffect(keepSignedIn, []);
  useEffect(() => {
    if (panel.current) tab.mount(panel.current);
    const wake = () => { if (document.visibilityState === "visible") tab.connection.wake(); };
    document.addEventListener("visibilitychange", wake);
    addEventListener("online", wake);
    return () => tab.dispose();
  }, [tab]);
  useEffect(() => {
    document.documentElement.dataset["terminalState"] = state.name;
    globalThis.educenterTerminal = tab.view?.term;
  });
  useEffect(() => { if (assist.name === "typing") tab.focus(); }, [assist.name]);
  const board = `/courses/${encodeURIComponent(course)}`;
  if (state.name === "closed" && state.code === 4401) goToSignIn();
  if (state.name === "closed" || state.name === "lost") return (
    <>
      <Header trail={[student, lesson]} />
      <Centred><section class="card" data-view="gone"><h2>{text.watching.gone}</h2>
        <div class="buttons"><a class="button button-primary" href={board}>{text.watching.back}</a></div></section></Centred>
    </>
  );
  return (
    <div class="lab">
      <Header trail={[student, lesson]}>
        <ConnectionState connection={tab.connection} focus={() => tab.focus()} />
        <a class="button button-quiet" href={board}>{text.watching.back}</a>
      </Header>
      <main class="watch-pane">
        <Help tab={tab} student={student} />
        <div class="panels"><div ref={panel} class="panel" /></div>
      </main>
    </div>
  );
}

/** From watching to typing and back. */
function Help({ tab: { connection }, student }: { tab: Tab; student: string }) {
  const { assist, state } = connection;
  const words = text.assisting;
  const said = assist.name === "typing" ? words.youType(student) : assist.name === "asked" ? words.waiting(student)
    : assist.reason ? words.reason(assist.reason, student) : text.watching.note(student);
  useEffect(() => announce(said), [said]);
  return (
    <div class={`watch-note watch-${assist.name}`} data-assist={assist.name}>
      <p>{said}</p>
      {assist.name === "none"
        ? <button type="button" class="button button-small" aria-disabled={state.name !== "live"} onClick={() => { if (state.name === "live") connection.ask(); }}>{words.ask}</button>
        : <button type="button" class="button button-small" onClick={() => connection.release()}>{assist.name === "typing" ? words.release : text.cancel}</button>}
    </div>
  );
}

const { terminal = "", student = "", about = "", course = "" } = document.body.dataset;
show(<Watch terminal={terminal} student={student} lesson={about} course={course} />);
