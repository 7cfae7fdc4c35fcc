// The lab's dialogs: questions before something happens, and the last output as text.

import { useRef, useState } from "preact/hooks";
import { cleanTitle, lines } from "../terminal/text.ts";
import { Confirm, Dialog } from "../ui/dialog.tsx";
import { text } from "../ui/strings.ts";
import { announce, copyText } from "../ui/ui.tsx";
import type { Kept } from "../ui/api.ts";
import type { Tab } from "./tab.ts";
import type { Remake } from "./upkeep.ts";

const MAX_NAME = 40; // characters, as the server has it
const MAX_SHOWN = 12; // lines of a paste

export type Question =
  | { kind: "end" }
  | { kind: "remake"; what: Remake; kept: Kept | null }
  | { kind: "close" | "rename" | "transcript"; tab: Tab }
  | { kind: "run"; tab: Tab; command: string; answer: (said: string) => void };

export interface QuestionProps {
  question: Question; done: () => void; end: () => void; remake: (what: Remake) => void;
  close: (tab: Tab) => void; rename: (tab: Tab, name: string) => void;
}

export function QuestionDialog({ question, done, end, remake, close, rename }: QuestionProps) {
  switch (question.kind) {
    case "end": return (
      <Confirm title={text.lab.endTitle} action={text.lab.end} danger onNo={done} onYes={() => { done(); end(); }}><p>{text.lab.endText}</p></Confirm>
    );
    case "close": return (
      <Confirm title={text.tabs.closeTitle(question.tab.label)} action={text.tabs.closeAction} danger onNo={done}
        onYes={() => { done(); close(question.tab); }}>
        <p>{text.tabs.closeText(question.tab.running ?? text.tabs.aProgram)}</p>
      </Confirm>
    );
    case "remake": return <RemakeDialog {...question} done={done} remake={remake} />;
    case "run": return <BusyRun {...question} done={done} />;
    case "rename": return <Rename tab={question.tab} done={done} rename={rename} />;
    case "transcript": return <TranscriptDialog tab={question.tab} done={done} />;
  }
}

/** What is lost and what stays, before it is done. */
function RemakeDialog({ what, kept, done, remake }: { what: Remake; kept: Kept | null; done: () => void; remake: (what: Remake) => void }) {
  const words = text.remake;
  const stays = what === "restart" ? words.stayings.restart : what === "reset" ? words.stayings.reset(kept !== null) : words.stayings.restore(new Date(kept!.at));
  return (
    <Confirm title={words.titles[what]} action={words.actions[what]} danger onNo={done} onYes={() => { done(); remake(what); }}>
      <dl class="losses">
        <dt>{words.lost}</dt><dd>{words.losses[what]}</dd>
        <dt>{words.stays}</dt><dd>{stays}</dd>
      </dl>
      {what !== "restore" && <p class="hint">{words.reload}</p>}
    </Confirm>
  );
}

function BusyRun({ tab, command, answer, done }: Extract<Question, { kind: "run" }> & { done: () => void }) {
  const program = tab.running ?? text.tabs.aProgram;
  const decide = (send: boolean) => {
    done();
    if (send) tab.view?.type(`${command}\r`);
    answer(send ? text.code.ran : "");
  };
  return (
    <Confirm title={text.code.busyTitle(program)} action={text.code.busyAction} danger onNo={() => decide(false)} onYes={() => decide(true)}>
      <p>{text.code.busy(program)}</p><pre class="quoted">{command}</pre>
    </Confirm>
  );
}

function Rename({ tab, done, rename }: { tab: Tab; done: () => void; rename: (tab: Tab, name: string) => void }) {
  const field = useRef<HTMLInputElement>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    done();
    rename(tab, cleanTitle(field.current!.value, MAX_NAME));
  };
  return (
    <Dialog title={text.tabs.renameTitle(tab.label)} onClose={done}>
      <form class="form" onSubmit={submit}>
        <label class="field"><span>{text.tabs.renameLabel}</span>
          <input ref={field} autofocus value={tab.name ?? ""} maxLength={MAX_NAME} autocomplete="off" /></label>
        <div class="buttons">
          <button type="button" class="button" onClick={done}>{text.cancel}</button>
          <button type="submit" class="button button-primary">{text.tabs.renameAction}</button>
        </div>
      </form>
    </Dialog>
  );
}

function TranscriptDialog({ tab, done }: { tab: Tab; done: () => void }) {
  const [all, setAll] = useState(false);
  const transcript = tab.view?.transcript;
  const passage = all ? transcript?.everything() : transcript?.last();
  const words = text.transcript;
  return (
    <Dialog title={all ? words.everything : words.title} onClose={done} wide>
      {!all && passage && <p class="hint">{words.of(passage.command)}</p>}
      {passage?.cut && <p class="hint">{words.cut}</p>}
      {passage?.text
        ? <pre class="quoted transcript" tabIndex={0} role="region" aria-label={words.label} autofocus>{passage.text}</pre>
        : <p>{words.none}</p>}
      <div class="buttons">
        <button type="button" class="button" onClick={() => setAll(!all)}>{all ? words.lastOutput : words.all}</button>
        <button type="button" class="button" onClick={() => void copyText(passage?.text ?? "").then((done) => { if (done) announce(text.copied); })}>{text.copy}</button>
        <button type="button" class="button button-primary" onClick={done}>{text.close}</button>
      </div>
    </Dialog>
  );
}

/** What a terminal asks by itself: about a paste that would run at once, or a link that was tapped. */
export function TerminalAsk({ tab }: { tab: Tab }) {
  const { ask } = tab;
  const answer = (act?: () => void) => {
    tab.raise(null);
    act?.();
    tab.focus();
  };
  if (ask?.kind === "link") return (
    <Confirm title={text.terminal.link} action={text.terminal.linkAction} onNo={() => answer()}
      onYes={() => answer(() => window.open(ask.uri, "_blank", "noopener,noreferrer"))}>
      <p class="address">{cleanTitle(ask.uri, 500)}</p>
    </Confirm>
  );
  if (ask?.kind !== "paste") return null;
  const pasted = lines(ask.text);
  const send = (what: string) => answer(() => tab.view?.term.paste(what));
  return (
    <Confirm title={text.terminal.pasteTitle(pasted.length)} action={text.terminal.pasteAction} onNo={() => answer()} onYes={() => send(ask.text)}
      more={<button type="button" class="button" onClick={() => send(pasted.join(" "))}>{text.terminal.pasteJoined}</button>}>
      <p>{text.terminal.paste}</p>
      <pre class="quoted">{pasted.slice(0, MAX_SHOWN).join("\n")}{pasted.length > MAX_SHOWN && "\n…"}</pre>
    </Confirm>
  );
}
