// A teacher's first page: who of a course is in a lab right now, and what their terminals do. Never what is on them.

import { useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { Acts } from "../course/acts.tsx";
import { Hands } from "../course/hands.tsx";
import { api, type ApiError, asApiError, goToSignIn, keepSignedIn, type Live, type LiveSession, type LiveTerminal } from "../ui/api.ts";
import { clock, text } from "../ui/strings.ts";
import { Account, announce, ErrorNote, Header, show } from "../ui/ui.tsx";
import "../css/pages.css";

const EVERY = 3000; // ms between questions while the page is seen

type RowState = LiveTerminal["state"] | "starting" | "asleep" | "stopped";
const MARKS: Record<RowState, string> = { typing: "⌨", running: "▶", idle: "●", away: "○", starting: "◐", asleep: "☾", stopped: "■" };

/** What the server said last, and when; asks again while the page is visible. */
function useLive(course: string) {
  const [live, setLive] = useState<Live | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [at, setAt] = useState(0);
  const again = useRef(() => undefined as void);
  useEffect(() => {
    let asked = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let stopped = false;
    const ask = async () => {
      clearTimeout(timer);
      const mine = ++asked;
      try {
        const answer = await api.live(course);
        if (mine !== asked) return; // a newer question is under way: this answer may be older than what was done meanwhile
        setLive({ ...answer, hands: answer.hands ?? [] }); // a server that is being replaced doesn't know of hands
        setAt(performance.now());
        setError(null);
      } catch (failure) {
        if (mine !== asked) return;
        const refused = asApiError(failure);
        if (refused.status === 401) return goToSignIn();
        setError(refused);
        if (refused.status === 404) return;
      }
      if (!stopped && document.visibilityState === "visible") timer = setTimeout(ask, EVERY);
    };
    const seen = () => { if (document.visibilityState === "visible") void ask(); };
    again.current = () => void ask();
    void ask();
    document.addEventListener("visibilitychange", seen);
    return () => { stopped = true; clearTimeout(timer); document.removeEventListener("visibilitychange", seen); };
  }, [course]);
  return { live, error, setError, at, again: () => again.current() };
}

interface Row { key: string; session: LiveSession; terminal: LiveTerminal | null; first: boolean; rows: number }

function rowsOf(sessions: readonly LiveSession[], wanted: string): Row[] {
  const sought = wanted.trim().toLowerCase();
  return sessions.filter(({ student }) => student.name.toLowerCase().includes(sought)).flatMap((session) => {
    const terminals = session.terminals.length > 0 ? session.terminals : [null];
    return terminals.map((terminal, number) => (
      { key: terminal?.id ?? session.id, session, terminal, first: number === 0, rows: terminals.length }));
  });
}

function stateOf({ state, rest }: LiveSession, terminal: LiveTerminal | null): RowState {
  if (state === "starting") return "starting";
  return rest === "asleep" || rest === "stopped" ? rest : terminal ? terminal.state : "away";
}

function TimeLeft({ session, extend }: { session: LiveSession; extend: (session: LiveSession) => void }) {
  const { deadline } = session; // none of a server that is being replaced
  if (!deadline) return <>–</>;
  return (
    <>
      {clock(deadline.seconds_left)}
      {deadline.extendable_to > deadline.seconds_left && <> <button type="button" class="button button-small" onClick={() => extend(session)}
        aria-label={text.course.extendOf(session.student.name)}>{text.course.extend}</button></>}
    </>
  );
}

interface Doing { course: string; again: () => void; complain: (error: ApiError) => void; extend: (session: LiveSession) => void }

function TerminalRow({ row: { session, terminal, first, rows }, raised, doing }: { row: Row; raised: boolean; doing: Doing }) {
  const state = stateOf(session, terminal);
  const name = terminal && `${terminal.position} ${terminal.title ?? terminal.command ?? text.tabs.shell}`;
  return (
    <tr data-session={session.id} data-state={state} class={first ? "row-first" : ""}>
      {first && <th scope="row" rowSpan={rows}>{session.student.name}
        {raised && <> <span role="img" aria-label={text.hands.mark} title={text.hands.mark}>✋</span></>}</th>}
      {first && <td rowSpan={rows} class="cell-lesson">{session.lesson.title}</td>}
      <td class="cell-terminal">{name ?? "–"}</td>
      <td class={`live-${state}`} title={text.course.stateHints[state]}>
        <span class="live-mark" aria-hidden="true">{MARKS[state]}</span> {text.course.states[state]}
        {terminal?.state === "running" && terminal.command && <> <code>{terminal.command}</code></>}
      </td>
      <td class="cell-watch">{terminal && <a class="button button-small" href={`/watch/${encodeURIComponent(terminal.id)}`}
        aria-label={text.watching.actionOf(session.student.name, name ?? "")}>{text.watching.action}</a>}</td>
      <td class="cell-quiet">{text.course.quiet(terminal ? terminal.quiet_seconds : null)}</td>
      {first && <td rowSpan={rows} class="cell-left"><TimeLeft session={session} extend={doing.extend} /></td>}
      {first && <td rowSpan={rows} class="cell-acts"><Acts course={doing.course} session={session} done={doing.again} complain={doing.complain} /></td>}
    </tr>
  );
}

function Table({ rows, hands, doing }: { rows: readonly Row[]; hands: Live["hands"]; doing: Doing }) {
  const { quiet, watch, left, ...others } = text.course.columns;
  const columns = { ...others, watch, quiet, left, acts: text.acts.column };
  return (
    <div class="table-box" role="region" aria-label={text.course.people} tabIndex={0}>
      <table class="live">
        <thead><tr>{Object.entries(columns).map(([name, label]) => <th key={name} scope="col" class={`cell-${name}`}>{label}</th>)}</tr></thead>
        <tbody>{rows.map((row) => <TerminalRow key={row.key} row={row} doing={doing} raised={hands.some((hand) => hand.session === row.session.id)} />)}</tbody>
      </table>
    </div>
  );
}

function NoOne({ live }: { live: Live }) {
  const code = live.course.join_code;
  return (
    <section class="card empty">
      <p>{live.students === 0 ? text.course.noStudents : text.course.noOne}</p>
      {code ? <p>{text.course.giveCode} <code class="join-code">{code}</code></p> : <p>{text.course.noCode}</p>}
    </section>
  );
}

function Board({ id, me }: { id: string; me: string }) {
  const { live, error, setError, at, again } = useLive(id);
  const [wanted, setWanted] = useState("");
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  useEffect(keepSignedIn, []);
  useEffect(() => {
    if (!error || !live) return;
    const timer = setInterval(() => redraw(), 1000);
    return () => clearInterval(timer);
  }, [error, live]);
  useEffect(() => { if (live) document.title = `${live.course.title} · ${text.product}`; }, [live?.course.title]);
  const extend = async ({ id: session, student }: LiveSession) => {
    try {
      await api.act(id, session, "extend");
      announce(text.course.extended(student.name));
      again();
    } catch (failure) {
      setError(asApiError(failure));
    }
  };
  const rows = useMemo(() => rowsOf(live?.sessions ?? [], wanted), [live, wanted]);

  return (
    <>
      <Header><Account onError={setError} /></Header>
      <main class="page page-wide">
        <div class="course-head">
          <h1>{live?.course.title ?? document.title.split(" · ")[0]}</h1>
          {live && <p class="lesson-facts"><span>{text.course.live(live.sessions.length)}</span><span>{text.course.students(live.students)}</span>
            <a href={`/courses/${encodeURIComponent(id)}/help`}>{text.help.title}</a></p>}
        </div>
        {error && <ErrorNote error={error} />}
        {error && live && error.status !== 404 && <p class="hint">{text.course.stale((performance.now() - at) / 1000)}</p>}
        {!live && !error && <p class="waiting">{text.course.loading}</p>}
        {live && <Hands live={live} me={me} again={again} />}
        {live && live.sessions.length === 0 && <NoOne live={live} />}
        {live && live.sessions.length > 0 && <>
          <label class="field field-filter"><span>{text.course.filter}</span>
            <input type="search" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} /></label>
          {rows.length > 0 ? <Table rows={rows} hands={live.hands} doing={{ course: id, again, complain: setError, extend: (session) => void extend(session) }} /> : <p>{text.course.noMatch}</p>}
          <p class="hint">{text.course.updated}</p>
        </>}
      </main>
    </>
  );
}

const { course = "", me = "" } = document.body.dataset;
show(<Board id={course} me={me} />);
