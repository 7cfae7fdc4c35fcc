// How a connection's state is said: in the header, beside the terminal, and to screen readers.

import { useEffect, useReducer, useRef } from "preact/hooks";
import type { Connection, State } from "../link/connection.ts";
import { text } from "../ui/strings.ts";
import { announce } from "../ui/ui.tsx";

const MARKS: Record<State["name"], string> = {
  connecting: "◐", live: "●", reconnecting: "◐", offline: "○", elsewhere: "◇", exited: "■", lost: "✕", closed: "■",
};

/** Redraws the component now and then while a countdown runs. */
function useTicks(wanted: boolean): void {
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  useEffect(() => {
    if (!wanted) return;
    const timer = setInterval(() => redraw(), 250);
    return () => clearInterval(timer);
  }, [wanted]);
}

export function ConnectionState({ connection, focus }: { connection: Connection; focus: () => void }) {
  const { state } = connection;
  useTicks(state.name === "reconnecting" && state.retryAt !== null);
  return (
    <span class={`state state-${state.name}`} data-state={state.name}>
      <span class="state-mark" aria-hidden="true">{MARKS[state.name]}</span>
      <span class="state-word">{describe(state)}</span>
      {state.name === "live" && state.roundTrip !== null && <span class="round-trip">{text.state.roundTrip(state.roundTrip)}</span>}
      {(state.name === "reconnecting" || state.name === "offline") && <>
        {!connection.refusal && !explained(state) && <span class="state-comfort">{text.state.comfort}</span>}
        {(state.name === "offline" || state.retryAt !== null) &&
          <button type="button" class="button button-small" onClick={() => { connection.wake(); focus(); }}>{text.state.now}</button>}
      </>}
    </span>
  );
}

const LONG = 100; // characters: what explains and advises has no room beside the buttons

/** What the server says of the wait, where that is long: it stands in a bar then. */
export function explained(state: State): string | null {
  const said = state.name === "connecting" ? state.step : state.name === "reconnecting" && state.retryAt === null ? state.reason : null;
  return said && said.length > LONG ? said : null;
}

function describe(state: State): string {
  const words = text.state;
  const long = explained(state) !== null;
  switch (state.name) {
    case "connecting": return long ? words.connecting : state.step ?? words.connecting;
    case "live": return words.live;
    case "reconnecting": {
      if (state.retryAt === null) return long ? words.reconnecting : state.reason ?? words.reconnecting;
      const seconds = Math.ceil((state.retryAt - Date.now()) / 1000);
      return seconds > 0 ? words.reconnectingIn(seconds) : words.reconnecting;
    }
    case "offline": return words.offline;
    case "elsewhere": return words.elsewhere;
    case "exited": return words.exited(state.code);
    case "lost": return words.lost;
    case "closed": return words.closed;
  }
}

/** Who watches, and since when: always said, never hidden. */
export function Watchers({ connection }: { connection: Connection }) {
  const { watchers } = connection;
  const names = [...new Set(watchers.map((watcher) => watcher.name))];
  const typing = watchers.find((watcher) => watcher.types);
  const words = names.length === 0 ? "" : typing ? text.assisting.by(typing.name) : text.watching.by(names);
  const said = useRef(false);
  useEffect(() => {
    if (words || said.current) announce(words || text.watching.ended);
    said.current = words !== "";
  }, [words]);
  if (!words) return null;
  return (
    <span class={typing ? "watchers watchers-typing" : "watchers"} data-watchers={names.length} title={watchers.map(({ name, since }) => text.watching.since(name, new Date(since * 1000))).join("\n")}>
      <span aria-hidden="true">{typing ? "⌨" : "👁"}</span> {words}
    </span>
  );
}

/** What a screen reader hears when the state changes; nothing that counts. */
export function spoken(state: State): string {
  return state.name === "exited" ? text.state.spoken.exited(state.code) : text.state.spoken[state.name];
}
