// What the lab page shows while there is no terminal: starting, failed, ended, unknown.

import { useEffect, useState } from "preact/hooks";
import { api, type ApiError, asApiError, goToSignIn, type Progress, type Session, sessionPath } from "../ui/api.ts";
import { text } from "../ui/strings.ts";
import { announce, Centred, ErrorNote, Header, sentence } from "../ui/ui.tsx";
import { lessonText, LessonText } from "./lesson.tsx";

function trailOf(session: Session | null): string[] {
  return session ? [session.course.title, `${session.lesson.position} ${session.lesson.title}`] : [];
}

export function Starting({ session, error }: { session: Session | null; error: ApiError | null }) {
  const progress = session?.progress;
  const step = progress && (progress.place ? text.lab.queued(progress.place) : progress.step);
  const full = Boolean(progress?.full && progress.place);
  useEffect(() => { if (step) announce(full ? `${text.lab.full}. ${step}` : step); }, [step, full]);
  return (
    <>
      <Header trail={trailOf(session)} />
      <Centred>
        <section class="card appears-late" aria-labelledby="starting">
          <h2 id="starting">{session ? text.lab.starting(session.lesson.title) : text.lab.opening}</h2>
          {progress && <>
            {full && <p data-view="full">{text.lab.full}. {text.lab.fullText}.</p>}
            <progress value={progress.done} max={progress.of || 1} aria-labelledby="step" />
            <p class="progress-text">
              <span id="step">{step}</span>
              <span>{said(progress)}{text.lab.waited(Math.round(progress.seconds))}</span>
            </p>
          </>}
          {!progress && !error && <p class="waiting">{text.oneMoment}</p>}
          {error && <p class="note note-error" role="alert">{sentence(error.message)} {text.lab.trying} <code class="error-code">{error.code}</code></p>}
        </section>
      </Centred>
    </>
  );
}

/** How far a start is, or how long it waits still, where anybody can tell. */
function said({ place, seconds_left, of, done }: Progress): string {
  if (place) return seconds_left === null ? "" : `${text.lab.left(seconds_left)} · `;
  return of > 0 ? `${done} / ${of} · ` : "";
}

/** A button that starts a lesson as a new session. */
function StartLesson({ lesson, label, primary = false }: { lesson: string; label: string; primary?: boolean }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const start = async () => {
    if (busy) return;
    setBusy(true);
    try {
      location.replace(sessionPath((await api.start(lesson)).id));
    } catch (failure) {
      const refused = asApiError(failure);
      if (refused.status === 401) goToSignIn();
      setError(refused);
      setBusy(false);
    }
  };
  return (
    <>
      {error && <ErrorNote error={error} />}
      <button type="button" class={primary ? "button button-primary" : "button"} onClick={start} aria-disabled={busy}>
        {busy ? text.lessons.starting : label}
      </button>
    </>
  );
}

export function Failed({ session, error }: { session: Session; error: NonNullable<Session["error"]> }) {
  return (
    <>
      <Header trail={trailOf(session)} />
      <Centred>
        <section class="card" data-view="failed">
          <h2>{text.lab.failed}</h2>
          <ErrorNote error={error} />
          <div class="buttons">
            <a class="button" href="/">{text.myLessons}</a>
            <StartLesson lesson={session.lesson.id} label={text.tryAgain} primary />
          </div>
        </section>
      </Centred>
    </>
  );
}

/** What was deleted, what remains, and what to do next. */
export function Ended({ session, byStudent }: { session: Session; byStudent: boolean }) {
  const by = byStudent ? "student" : (session.ended?.by ?? "other");
  const { next, kept } = session;
  const ended = text.lab.ended[by] ?? text.lab.ended.other; // a newer server may know more
  const said = session.acted?.act === "end" ? text.lab.endedBy(session.acted.who) : ended;
  const known = session.state === "ended"; // what comes next is told with the end
  useEffect(() => {
    document.documentElement.dataset["terminalState"] = "ended";
    announce(said);
  }, []);
  return (
    <>
      <Header trail={trailOf(session)} />
      <Centred>
        <section class="card" data-view="ended">
          <h2>{said}</h2>
          <p>{text.lab.endedText}</p>
          <p>{text.lab.endedAgain}</p>
          {kept && <p>{text.lab.keptText(new Date(kept.until))}</p>}
          <div class="buttons">
            <a class="button" href="/">{text.myLessons}</a>
            <StartLesson lesson={session.lesson.id} label={text.lessons.again} primary={known && !next} />
            {next && <StartLesson lesson={next.id} label={text.lab.endedNextLesson(next.title)} primary />}
          </div>
        </section>
        {lessonText() && <details class="card lesson-again"><summary>{text.lab.endedLesson}</summary><LessonText actions={null} /></details>}
      </Centred>
    </>
  );
}

export function NotFound() {
  return (
    <>
      <Header />
      <Centred>
        <section class="card" data-view="unknown">
          <h2>{text.lab.unknown}</h2>
          <p>{text.lab.unknownText}</p>
          <div class="buttons"><a class="button button-primary" href="/">{text.myLessons}</a></div>
        </section>
      </Centred>
    </>
  );
}
