// What a teacher can do to a student's lab: restart, reset, end. Asked about first, told to the student, written down.

import { useState } from "preact/hooks";
import { type Act, api, type ApiError, asApiError, type LiveSession } from "../ui/api.ts";
import { Confirm } from "../ui/dialog.tsx";
import { text } from "../ui/strings.ts";
import { announce } from "../ui/ui.tsx";

const words = text.acts;
type Asked = Exclude<Act["act"], "extend">; // that is beside the deadline, and needs no question
const KINDS: readonly Asked[] = ["restart", "reset", "end"];

export interface ActsProps { course: string; session: LiveSession; done: () => void; complain: (error: ApiError) => void }

export function Acts({ course, session, done, complain }: ActsProps) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const [busy, setBusy] = useState(false);
  const { name } = session.student;
  const act = async (kind: Asked) => {
    setAsked(null);
    setBusy(true);
    announce(words.busy);
    try {
      await api.act(course, session.id, kind);
      announce(words.done[kind](name));
    } catch (failure) {
      complain(asApiError(failure));
    } finally {
      setBusy(false);
      done();
    }
  };
  return (
    <>
      <div class="acts">
        {KINDS.map((kind) => {
          const off = busy || (kind !== "end" && session.state !== "live");
          return (
            <button key={kind} type="button" class="button button-small" aria-label={words.labels[kind](name)} aria-disabled={off}
              onClick={() => { if (!off) setAsked(kind); }}>{words.buttons[kind]}</button>
          );
        })}
      </div>
      {asked && <Confirm title={`${words.labels[asked](name)}?`} action={words.actions[asked]} danger onNo={() => setAsked(null)} onYes={() => void act(asked)}>
        <p>{words.texts[asked]}</p>
        <p class="hint">{words.told}</p>
      </Confirm>}
    </>
  );
}
