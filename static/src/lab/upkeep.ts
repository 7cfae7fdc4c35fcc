// What can be done to the container under a lab: restarted, reset to the lesson's start, or given its former files back.

import { useState } from "preact/hooks";
import { api, type ApiError, asApiError, type Session, sessionPath } from "../ui/api.ts";
import { text } from "../ui/strings.ts";
import { announce } from "../ui/ui.tsx";

export type Remake = "restart" | "reset" | "restore";

const NOTICE = "educenter.notice";
let awaited: string | null = null; // what is to be said of a reset that was asked for here: its end may be seen before its answer

/** To the session that goes on where this one ended, with a word about it. */
export function follow(session: string, said: string): void {
  try {
    sessionStorage.setItem(NOTICE, JSON.stringify({ session, said: awaited ?? said }));
  } catch {
    // Storage is forbidden here: the page comes without the word.
  }
  location.replace(sessionPath(session));
}

/** What the page that led here had to say of this session; once. */
export function takeNotice(session: string): string | null {
  try {
    const found = JSON.parse(sessionStorage.getItem(NOTICE) ?? "null") as { session: string; said: string } | null;
    if (found?.session !== session) return null;
    sessionStorage.removeItem(NOTICE);
    return found.said;
  } catch {
    return null;
  }
}

export interface Upkeep { busy: Remake | null; start: (kind: Remake) => void }

export function useUpkeep(session: Session, refresh: () => void, complain: (error: ApiError) => void): Upkeep {
  const [busy, setBusy] = useState<Remake | null>(null);
  const run = async (kind: Remake) => {
    if (busy) return;
    setBusy(kind);
    announce(text.remake.busy[kind]);
    try {
      if (kind === "restart") {
        await api.restart(session.id);
        announce(text.remake.restarted);
      } else {
        awaited = text.remake.done[kind];
        return follow((await api[kind](session.id)).id, awaited);
      }
    } catch (failure) {
      awaited = null;
      complain(asApiError(failure));
    }
    setBusy(null);
    refresh();
  };
  return { busy, start: (kind) => void run(kind) };
}
