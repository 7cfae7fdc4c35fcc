// The lab page: a session from its start to its end.

import { useEffect, useRef, useState } from "preact/hooks";
import { api, type ApiError, asApiError, goToSignIn, keepSignedIn, type Session, sessionPath } from "./api.ts";
import "./fonts.ts";
import { announce, Centred, ErrorNote, Header, sentence, show } from "./ui.tsx";
import { Workspace } from "./workspace.tsx";
import "@xterm/xterm/css/xterm.css";
import "./style.css";

const EAGER = { every: 150, during: 3000 }; // ms
const PATIENT = 500; // ms between questions while starting
const LIVE = 30_000; // ms between questions while live
const UNREACHABLE = 1000; // ms

/** Asks for the session until it has ended; `refresh` asks at once. */
function useSession(id: string) {
  const [session, setSession] = useState<Session | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const control = useRef({ wake: () => undefined as void, stopped: false });

  useEffect(() => {
    const state = control.current;
    const began = performance.now();
    const pause = (ms: number) => new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      state.wake = () => { clearTimeout(timer); resolve(); };
    });
    const watch = async () => {
      let known: Session | null = null;
      while (!state.stopped) {
        try {
          known = await api.session(id);
          setSession(known);
          setError(null);
          if (known.state === "ended") return;
          await pause(known.state === "live" ? LIVE : performance.now() - began < EAGER.during ? EAGER.every : PATIENT);
        } catch (failure) {
          const refused = asApiError(failure);
          if (refused.status === 401 && !known) return goToSignIn();
          setError(refused);
          if (refused.status === 404) return;
          await pause(known?.state === "live" ? LIVE : UNREACHABLE);
        }
      }
    };
    void watch();
    return () => { state.stopped = true; };
  }, [id]);
  return { session, error, refresh: () => control.current.wake() };
}

function Lab({ id }: { id: string }) {
  const { session, error, refresh } = useSession(id);
  const [endedHere, setEndedHere] = useState(false);
  useEffect(keepSignedIn, []);
  useEffect(() => {
    if (session) document.title = `${session.lesson.title} · EduCenter`;
  }, [session?.lesson.title]);

  if (error?.status === 404) return <NotFound />;
  if (session?.error) return <Failed session={session} error={session.error} />;
  if (endedHere || session?.state === "ended") return <Ended session={session!} byStudent={endedHere} />;
  if (session?.state === "live") {
    const end = async () => { await api.end(id); setEndedHere(true); };
    return <Workspace session={session} refresh={refresh} onEnd={end} />;
  }
  return <Starting session={session} error={error} />;
}

function Starting({ session, error }: { session: Session | null; error: ApiError | null }) {
  const progress = session?.progress;
  const title = session ? `Starting ${session.lesson.title}` : "Opening your lab";
  useEffect(() => { if (progress) announce(progress.step); }, [progress?.step]);
  return (
    <>
      <Header title={session?.lesson.title} />
      <Centred>
        <section class="card appears-late" aria-labelledby="starting">
          <h2 id="starting">{title}</h2>
          {progress && <>
            <progress value={progress.done} max={progress.of || 1} aria-labelledby="step" />
            <p class="progress-text">
              <span id="step">{progress.step}</span>
              <span>{progress.of > 0 && `${progress.done} of ${progress.of} · `}{Math.round(progress.seconds)} s</span>
            </p>
          </>}
          {!progress && !error && <p class="waiting">One moment…</p>}
          {error && <p class="note note-error" role="alert">{sentence(error.message)} Trying again by itself. <code class="error-code">{error.code}</code></p>}
        </section>
      </Centred>
    </>
  );
}

/** A button that starts the lesson again, as a new session. */
function StartAgain({ lesson, label }: { lesson: string; label: string }) {
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
      <div class="buttons">
        <a class="button" href="/">My lessons</a>
        <button type="button" class="button button-primary" onClick={start} aria-disabled={busy}>{busy ? "Starting…" : label}</button>
      </div>
    </>
  );
}

function Failed({ session, error }: { session: Session; error: NonNullable<Session["error"]> }) {
  return (
    <>
      <Header title={session.lesson.title} />
      <Centred>
        <section class="card" data-view="failed">
          <h2>The lab could not be started</h2>
          <ErrorNote error={error} />
          <StartAgain lesson={session.lesson.id} label="Try again" />
        </section>
      </Centred>
    </>
  );
}

function Ended({ session, byStudent }: { session: Session; byStudent: boolean }) {
  useEffect(() => {
    document.documentElement.dataset["terminalState"] = "ended";
    announce("The lab has ended.");
  }, []);
  return (
    <>
      <Header title={session.lesson.title} />
      <Centred>
        <section class="card" data-view="ended">
          <h2>{byStudent ? "You ended the lab" : "The lab has ended"}</h2>
          <p>The container and everything in it are deleted; nothing remains of it. Starting the lesson again gives you a fresh container.</p>
          <StartAgain lesson={session.lesson.id} label="Start again" />
        </section>
      </Centred>
    </>
  );
}

function NotFound() {
  return (
    <>
      <Header />
      <Centred>
        <section class="card" data-view="unknown">
          <h2>There is no such lab</h2>
          <p>It doesn't exist, or it belongs to somebody else. Your own labs are under My lessons.</p>
          <div class="buttons"><a class="button button-primary" href="/">My lessons</a></div>
        </section>
      </Centred>
    </>
  );
}

show(<Lab id={document.body.dataset["session"] ?? ""} />);
