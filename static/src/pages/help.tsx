// A course's rules for its instructors in students' terminals, and the account of who typed for whom. Never of what was typed.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Act, api, type ApiError, asApiError, type Audit, goToSignIn, keepSignedIn, type Rules } from "../ui/api.ts";
import { duration, text } from "../ui/strings.ts";
import { Account, announce, ErrorNote, Header, show } from "../ui/ui.tsx";
import "../css/pages.css";

const words = text.help;

function RulesForm({ course, rules, onChange, onError }: { course: string; rules: Rules; onChange: (rules: Rules) => void; onError: (error: ApiError) => void }) {
  const change = async (changed: Partial<Rules>) => {
    try {
      onChange(await api.changeRules(course, changed));
      announce(words.saved);
    } catch (failure) {
      onError(asApiError(failure));
    }
  };
  return (
    <section class="card rules">
      <h2>{words.rules}</h2>
      <Choice label={words.watching} value={rules.watching} of={words.watchings} change={(watching) => change({ watching })} />
      <Choice label={words.assisting} value={rules.assisting} of={words.assistings} change={(assisting) => change({ assisting })} />
      <p class="hint">{words.always}</p>
    </section>
  );
}

function Choice<Value extends string>({ label, value, of, change }: { label: string; value: Value; of: Record<Value, string>; change: (value: Value) => void }) {
  return (
    <label class="field"><span>{label}</span>
      <select value={value} onChange={(event) => change(event.currentTarget.value as Value)}>
        {Object.entries<string>(of).map(([name, says]) => <option key={name} value={name}>{says}</option>)}
      </select>
    </label>
  );
}

function Row({ audit }: { audit: Audit }) {
  const from = new Date(audit.from);
  const seconds = (Date.parse(audit.to) - from.getTime()) / 1000;
  return (
    <tr data-audit={audit.id}>
      <td><time dateTime={audit.from}>{words.when(from)}</time></td>
      <th scope="row">{audit.who}</th>
      <td>{audit.whom}</td>
      <td>{duration(seconds)}</td>
      <td class="cell-bytes">{words.bytes(audit.bytes)}</td>
    </tr>
  );
}

function ActRow({ act }: { act: Act }) {
  return (
    <tr data-act={act.id}>
      <td><time dateTime={act.at}>{words.when(new Date(act.at))}</time></td>
      <th scope="row">{act.who}</th>
      <td>{act.whom}</td>
      <td>{act.lesson}</td>
      <td>{text.acts.names[act.act]}</td>
    </tr>
  );
}

function Ledger<Entry>({ label, what, none, columns, entries, row }: {
  label: string; what: string; none: string; columns: readonly string[]; entries: readonly Entry[]; row: (entry: Entry) => ComponentChildren;
}) {
  return (
    <section>
      <h2>{label}</h2>
      <p class="hint">{what}</p>
      {entries.length === 0 ? <p>{none}</p> : (
        <div class="table-box" role="region" aria-label={label} tabIndex={0}>
          <table class="live">
            <thead><tr>{columns.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
            <tbody>{entries.map(row)}</tbody>
          </table>
        </div>)}
    </section>
  );
}

function Help({ course, title }: { course: string; title: string }) {
  const [rules, setRules] = useState<Rules | null>(null);
  const [audits, setAudits] = useState<Audit[] | null>(null);
  const [acts, setActs] = useState<Act[] | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(keepSignedIn, []);
  useEffect(() => {
    const fail = (failure: unknown) => {
      const refused = asApiError(failure);
      if (refused.status === 401) goToSignIn();
      setError(refused);
    };
    api.rules(course).then(setRules, fail);
    api.acts(course).then((answer) => setActs(answer.acts), fail);
    api.audits(course).then((answer) => setAudits(answer.audits), fail);
  }, [course]);
  return (
    <>
      <Header><Account onError={setError} /></Header>
      <main class="page">
        <div class="course-head"><h1>{words.title}</h1><p class="lesson-facts"><a href={`/courses/${encodeURIComponent(course)}`}>{title}</a></p></div>
        {error && <ErrorNote error={error} />}
        {!error && (!rules || !audits || !acts) && <p class="waiting">{words.loading}</p>}
        {rules && <RulesForm course={course} rules={rules} onChange={setRules} onError={setError} />}
        {audits && <Ledger label={words.account} what={words.what} none={words.none} columns={words.columns} entries={audits}
          row={(audit) => <Row key={audit.id} audit={audit} />} />}
        {acts && <Ledger label={text.acts.account} what={text.acts.what} none={text.acts.none} columns={text.acts.columns} entries={acts}
          row={(act) => <ActRow key={act.id} act={act} />} />}
      </main>
    </>
  );
}

const { course = "", about = "" } = document.body.dataset;
show(<Help course={course} title={about} />);
