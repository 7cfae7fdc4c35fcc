// A course's raised hands: who waits longest comes first; one instructor claims each.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { api, type ApiError, asApiError, type Live, type RaisedHand } from "../ui/api.ts";
import { text } from "../ui/strings.ts";
import { announce, ErrorNote, sentence } from "../ui/ui.tsx";

const TITLE = "hands-title";

/** `again`: asks the server anew, at once. */
export interface HandsProps { live: Live; me: string; again: () => void }

export function Hands({ live, me, again }: HandsProps) {
  const { hands } = live;
  const known = useRef(0);
  useEffect(() => {
    if (hands.length > known.current) announce(text.hands.raised(hands.length));
    known.current = hands.length;
  }, [hands.length]);
  if (hands.length === 0) return null;
  return (
    <section class="hands" aria-labelledby={TITLE}>
      <h2 id={TITLE} tabIndex={-1}><span aria-hidden="true">✋</span> {text.hands.title}</h2>
      <ol>{hands.map((hand) => <Waiting key={hand.id} hand={hand} mine={hand.claimed_by?.id === me} watch={terminalOf(live, hand)} again={again} />)}</ol>
    </section>
  );
}

/** The tab that was in front, or where that is closed the first one. */
function terminalOf(live: Live, hand: RaisedHand): string | null {
  return hand.terminal ?? live.sessions.find((session) => session.id === hand.session)?.terminals[0]?.id ?? null;
}

interface WaitingProps { hand: RaisedHand; mine: boolean; watch: string | null; again: () => void }

function Waiting({ hand, mine, watch, again }: WaitingProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const { student, lesson, claimed_by: claimer } = hand;
  const { row, acted } = useKeptFocus(claimer?.id);
  const act = async (call: (id: string) => Promise<null>) => {
    if (busy) return;
    setBusy(true);
    acted.current = true;
    try {
      await call(hand.id);
      setError(null);
    } catch (failure) {
      const refused = asApiError(failure);
      // Somebody was quicker: the list shows it, and this tells who doesn't see it.
      const late = refused.status === 409 || refused.status === 404;
      if (late) announce(sentence(refused.message));
      else setError(refused);
      acted.current = late;
    }
    setBusy(false);
    again();
  };
  const words = text.hands;
  return (
    <li ref={row} data-hand={hand.id}>
      <p class="hand-who"><strong>{student.name}</strong> <span class="hand-lesson">{lesson.title}</span></p>
      <p class="hand-wait">{words.waiting(hand.seconds)}</p>
      <div class="buttons">
        {!claimer && <button type="button" class="button button-small button-primary" aria-disabled={busy} aria-label={words.claimOf(student.name)}
          onClick={() => void act(api.claimHand)}>{words.claim}</button>}
        {claimer && !mine && <span class="hint">{words.claimedBy(claimer.name)}</span>}
        {mine && watch && <a class="button button-small" href={`/watch/${encodeURIComponent(watch)}`} aria-label={words.watchOf(student.name)}>{text.watching.action}</a>}
        {mine && <button type="button" class="button button-small button-primary" aria-disabled={busy} aria-label={words.doneOf(student.name)}
          onClick={() => void act(api.resolveHand)}>{words.done}</button>}
      </div>
      {error && <ErrorNote error={error} />}
    </li>
  );
}

/** What was pressed goes away with what it did: then the next thing to do has the focus, or the list's title. */
function useKeptFocus(state: string | undefined) {
  const row = useRef<HTMLLIElement>(null);
  const acted = useRef(false);
  const title = () => document.getElementById(TITLE);
  useLayoutEffect(() => {
    if (!acted.current) return;
    acted.current = false;
    (row.current?.querySelector<HTMLElement>("a, button") ?? title())?.focus();
  }, [state]);
  useLayoutEffect(() => () => { if (row.current?.contains(document.activeElement)) title()?.focus(); }, []);
  return { row, acted };
}
