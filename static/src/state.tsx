// How a connection's state is said: in the header, beside the terminal, and to screen readers.

import { useEffect, useReducer } from "preact/hooks";
import type { Connection, State } from "./connection.ts";

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
      <span>{describe(state)}</span>
      {(state.name === "reconnecting" || state.name === "offline") && <>
        <span class="state-comfort">your programs keep running</span>
        {(state.name === "offline" || state.retryAt !== null) &&
          <button type="button" class="button button-small" onClick={() => { connection.wake(); focus(); }}>now</button>}
      </>}
    </span>
  );
}

function describe(state: State): string {
  switch (state.name) {
    case "connecting": return state.step ?? "connecting";
    case "live": return state.roundTrip === null ? "live" : `live ${Math.max(1, Math.round(state.roundTrip))} ms`;
    case "reconnecting": {
      if (state.retryAt === null) return state.reason ?? "reconnecting";
      const seconds = Math.ceil((state.retryAt - Date.now()) / 1000);
      return seconds > 0 ? `reconnecting in ${seconds} s` : "reconnecting";
    }
    case "offline": return "offline";
    case "elsewhere": return "open elsewhere";
    case "exited": return `ended (code ${state.code})`;
    case "lost": return "shell lost";
    case "closed": return "closed";
  }
}

/** What a screen reader hears when the state changes; nothing that counts. */
export function spoken(state: State): string {
  switch (state.name) {
    case "connecting": return "Connecting.";
    case "live": return "Terminal live.";
    case "reconnecting": return "Connection lost, reconnecting. Your programs keep running.";
    case "offline": return "You are offline. Your programs keep running.";
    case "elsewhere": return "This terminal is used on another page.";
    case "exited": return `The shell ended with code ${state.code}.`;
    case "lost": return "The shell was lost.";
    case "closed": return "The terminal is closed.";
  }
}
