// The bars over a terminal that ask or tell something about it.

import type { ComponentChildren } from "preact";
import type { Tab } from "./tab.ts";
import { sentence } from "./ui.tsx";

export interface BarActions { closeTab: (tab: Tab) => void; openTab: () => void }

function Bar({ kind, children }: { kind: "info" | "warn"; children: ComponentChildren }) {
  return <div class={`bar bar-${kind}`} role="status">{children}</div>;
}

export function Bars({ tab, closeTab, openTab }: { tab: Tab } & BarActions) {
  const { state } = tab.connection;
  return (
    <div class="bars">
      <DoubtBar tab={tab} />
      {state.name === "elsewhere" && <Bar kind="info">
        <p>This terminal is now used on another page or device. You can read along here.</p>
        <button type="button" class="button button-primary" onClick={() => { tab.connection.continueHere(); tab.focus(); }}>Continue here</button>
      </Bar>}
      {state.name === "exited" && <Bar kind="info">
        <p>{tab.connection.status?.shell ? tab.command : "The shell"} exited with code {state.code}.</p>
        <Replace tab={tab} closeTab={closeTab} openTab={openTab} />
      </Bar>}
      {state.name === "lost" && <Bar kind="warn">
        <p>{sentence(state.message || "Your shell was lost")}</p>
        <Replace tab={tab} closeTab={closeTab} openTab={openTab} />
      </Bar>}
      {state.name === "closed" && state.code === 4403 && <Bar kind="warn"><p>You may not use this terminal. <code>4403</code></p></Bar>}
    </div>
  );
}

function Replace({ tab, closeTab, openTab }: { tab: Tab } & BarActions) {
  return (
    <div class="buttons">
      <button type="button" class="button" onClick={() => closeTab(tab)}>Close tab</button>
      <button type="button" class="button button-primary" onClick={openTab}>New terminal</button>
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
        <p>You were away for a while and these keys have not arrived: <kbd class="keys">{doubt.keys}</kbd> Send them now?</p>
        <div class="buttons">
          <button type="button" class="button" onClick={() => answer(false)}>Discard</button>
          <button type="button" class="button button-primary" onClick={() => answer(true)}>Send</button>
        </div>
      </Bar>
    );
    case "lost": return (
      <Bar kind="warn">
        <p>These keys may not have arrived: <kbd class="keys">{doubt.keys}</kbd></p>
        <button type="button" class="button" onClick={() => answer(false)}>OK</button>
      </Bar>
    );
    case "too-large": return (
      <Bar kind="warn">
        <p>That paste is too large: 8 MiB can wait here at once. Nothing of it was sent.</p>
        <button type="button" class="button" onClick={() => answer(false)}>OK</button>
      </Bar>
    );
  }
}
