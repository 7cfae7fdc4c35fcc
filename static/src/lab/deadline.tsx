// How long the lab is kept: a quiet line all along, and a bar when it is about to end, or to rest because nobody uses it.

import { useEffect, useReducer, useState } from "preact/hooks";
import { api, type ApiError, asApiError, type Lifetime, type Session } from "../ui/api.ts";
import { clock, duration, text } from "../ui/strings.ts";
import { announce } from "../ui/ui.tsx";
import { Bar } from "./bars.tsx";

const STAGES = [60, 5 * 60, 15 * 60]; // s: warned so long before
const NEAR = STAGES.at(-1)! + 60; // s: from here on every second counts
const TICK = { near: 1000, far: 10_000 }; // ms

export interface KeepingState { session: Session; at: number; extend: () => void; stay: () => void; busy: boolean }

/** `changed`: what the server answered. */
export function useKeeping(session: Session, changed: (kept: Lifetime) => void, complain: (error: ApiError) => void, refresh: () => void): KeepingState {
  const [busy, setBusy] = useState(false);
  const ask = async (stay: boolean) => {
    if (busy) return;
    setBusy(true);
    try {
      const kept = await api.extend(session.id, stay);
      changed(kept);
      announce(stay || !kept.deadline ? text.keeping.stays : text.keeping.extended(duration(kept.deadline.seconds_left)));
    } catch (failure) {
      complain(asApiError(failure));
      refresh();
    } finally {
      setBusy(false);
    }
  };
  return { session, at: session.at, extend: () => void ask(false), stay: () => void ask(true), busy };
}

/** Seconds that are left of `seconds` now; asks for a redraw as often as it matters. */
function useLeft(seconds: number | null, at: number): number | null {
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  const left = seconds === null ? null : Math.max(0, seconds - (Date.now() - at) / 1000);
  const every = left === null ? null : left <= NEAR ? TICK.near : TICK.far;
  useEffect(() => {
    if (every === null) return;
    const timer = setInterval(() => redraw(), every);
    return () => clearInterval(timer);
  }, [every]);
  return left;
}

function canExtend({ deadline }: Session): boolean {
  return deadline !== null && deadline.extendable_to > deadline.seconds_left;
}

/** In the header; where the lab can be extended, a press does it. */
export function TimeLeft({ keeping: { session, at, extend, busy }, narrow }: { keeping: KeepingState; narrow: boolean }) {
  const left = useLeft(session.deadline?.seconds_left ?? null, at);
  if (left === null) return null;
  const words = text.keeping;
  const shown = narrow ? clock(left) : words.left(clock(left));
  const title = `${words.ends(new Date(Date.now() + left * 1000))}${canExtend(session) ? ` ${words.press}` : ""}`;
  return canExtend(session)
    ? <button type="button" class="button button-quiet time-left" data-seconds={Math.round(left)} aria-label={words.label(duration(left))} title={title}
      aria-disabled={busy} onMouseDown={(event) => event.preventDefault()} onClick={extend}>{shown}</button>
    : <span class="time-left" data-seconds={Math.round(left)} title={title}>{shown}</span>;
}

interface Warning { key: string; words: string; urgent: boolean; action: { label: string; run: () => void } | null }

function warning({ session, extend, stay }: KeepingState, deadline: number | null, idle: number | null): Warning | null {
  const words = text.keeping;
  const left = Math.min(deadline ?? Infinity, idle ?? Infinity);
  const stage = STAGES.find((seconds) => left <= seconds);
  if (stage === undefined) return null;
  const urgent = stage !== STAGES.at(-1);
  if (left === idle) return {
    key: `idle ${session.idle!.then} ${stage}`, urgent,
    words: words.idle[session.idle!.then](duration(left)), action: { label: words.extend, run: stay },
  };
  const more = canExtend(session);
  return { key: `deadline ${stage}`, urgent, words: more ? words.ending(duration(left)) : words.endingAtMost(duration(left)),
    action: more ? { label: words.extend, run: extend } : null };
}

/** `used`: an open terminal of this page keeps the lab from being idle. */
export function KeepingBar({ keeping, used, enter }: { keeping: KeepingState; used: boolean; enter: () => void }) {
  const { session, at, busy } = keeping;
  const deadline = useLeft(session.deadline?.seconds_left ?? null, at);
  const idle = useLeft(used ? null : session.idle?.seconds_left ?? null, at);
  const [dismissed, dismiss] = useState("");
  const found = warning(keeping, deadline, idle);
  if (!found || found.key === dismissed) return null;
  const { action } = found;
  return (
    <div class="bars bars-lab" role="region" aria-label={text.keeping.region}>
      <Bar key={found.key} kind={found.urgent ? "warn" : "info"}>
        <p>{found.words}</p>
        <div class="buttons">
          <button type="button" class="button" onClick={() => { dismiss(found.key); enter(); }}>{action ? text.keeping.notNow : text.ok}</button>
          {action && <button type="button" class="button button-primary" aria-disabled={busy} onClick={() => { action.run(); enter(); }}>{action.label}</button>}
        </div>
      </Bar>
    </div>
  );
}
