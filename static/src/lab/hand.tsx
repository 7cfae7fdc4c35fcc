// The student's hand: raised when somebody should come, and what the queue says meanwhile.

import { useEffect, useRef, useState } from "preact/hooks";
import { api, asApiError, type ApiError, type Hand, type Session } from "../ui/api.ts";
import { text } from "../ui/strings.ts";
import { announce } from "../ui/ui.tsx";

export interface RaisedState { hand: Hand | null; busy: boolean; toggle: () => void }

/** `changed`: what the server answered; `terminal`: the tab in front. */
export function useHand(
  session: Session, terminal: string | null, changed: (hand: Hand | null) => void, complain: (error: ApiError) => void,
): RaisedState {
  const [busy, setBusy] = useState(false);
  const { hand } = session;
  useAnnounced(hand);
  const toggle = async () => {
    if (busy) return;
    setBusy(true);
    try {
      if (hand) await api.lowerHand(session.id);
      changed(hand ? null : (await api.raiseHand(session.id, terminal)).hand);
    } catch (failure) {
      complain(asApiError(failure));
    } finally {
      setBusy(false);
    }
  };
  return { hand, busy, toggle: () => void toggle() };
}

/** Says aloud what changed, whoever changed it. */
function useAnnounced(hand: Hand | null): void {
  const words = hand ? standing(hand, ", ") : "";
  const said = useRef(words);
  useEffect(() => {
    if (words !== said.current) announce(words || text.hand.down);
    said.current = words;
  }, [words]);
}

function standing({ place, claimed_by }: Hand, joint: string): string {
  if (claimed_by !== null) return text.hand.coming(claimed_by);
  return place === null ? text.hand.raised : `${text.hand.raised}${joint}${text.hand.place(place)}`;
}

/** Where there is little room: the mark, and the place in the queue. */
function brief(hand: Hand): string {
  return hand.place === null ? standing(hand, " · ") : text.hand.brief(hand.place);
}

/** One button all along, so that it keeps the focus; with the mouse, the terminal keeps it. */
export function HandButton({ hand, busy, toggle, narrow }: RaisedState & { narrow: boolean }) {
  const words = text.hand;
  const label = hand ? words.lower : words.label;
  return (
    <span class={`hand${hand ? " hand-up" : ""}${hand?.claimed_by ? " hand-claimed" : ""}`}>
      {hand && <span class="hand-standing" title={standing(hand, " · ")}>
        <Mark /> {narrow ? <><span aria-hidden="true">{brief(hand)}</span><span class="visually-hidden">{standing(hand, ", ")}</span></> : standing(hand, " · ")}
      </span>}
      <button key="button" type="button" class="button button-quiet hand-button" aria-disabled={busy} aria-label={label}
        title={`${hand ? words.lowerYours : words.raise} (Ctrl+Shift+H)`} onMouseDown={(event) => event.preventDefault()} onClick={toggle}>
        {hand ? (narrow ? "×" : words.lower) : <><Mark />{!narrow && ` ${words.help}`}</>}
      </button>
    </span>
  );
}

function Mark() {
  return <span class="hand-mark" aria-hidden="true">✋</span>;
}
