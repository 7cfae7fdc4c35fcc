// The lab page: a session from its start to its end.

import { useEffect, useRef, useState } from "preact/hooks";
import { Ended, Failed, NotFound, Starting } from "../lab/outcomes.tsx";
import { follow } from "../lab/upkeep.ts";
import { Workspace } from "../lab/workspace.tsx";
import { api, type ApiError, asApiError, goToSignIn, type Hand, keepSignedIn, type Lifetime, type Session } from "../ui/api.ts";
import "../terminal/fonts.ts";
import { asked } from "../ui/crossing.ts";
import { text } from "../ui/strings.ts";
import { show } from "../ui/ui.tsx";
import "@xterm/xterm/css/xterm.css";
import "../css/lab.css";

const EAGER = { every: 150, during: 3000 }; // ms
const PATIENT = 500; // ms between questions while starting
const LIVE = 30_000; // ms between questions while live
const RESTARTING = 300; // ms
const WAITING = 5_000; // ms, while a hand is up and the page is seen
const UNREACHABLE = 1000; // ms

function patience(live: Session): number {
  if (live.restarting) return RESTARTING;
  return live.hand && document.visibilityState === "visible" ? WAITING : LIVE;
}

/** Asks for the session until it has ended; `refresh` asks at once, and once more when it is just being asked. */
function useSession(id: string) {
  const [session, setSession] = useState<Session | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const control = useRef({ wake: () => undefined as void, wanted: false, stopped: false });

  useEffect(() => {
    const state = control.current;
    const began = performance.now();
    const pause = (ms: number) => new Promise<void>((resolve) => {
      if (state.wanted) return resolve();
      const timer = setTimeout(resolve, ms);
      state.wake = () => { clearTimeout(timer); resolve(); };
    });
    const watch = async () => {
      let known: Session | null = null;
      while (!state.stopped) {
        state.wanted = false;
        try {
          known = await (asked(id) ?? api.session(id));
          setSession(known);
          setError(null);
          if (known.state === "ended") return;
          await pause(known.state === "live" ? patience(known) : performance.now() - began < EAGER.during ? EAGER.every : PATIENT);
        } catch (failure) {
          const refused = asApiError(failure);
          if (refused.status === 401 && !known) return goToSignIn();
          setError(refused);
          if (refused.status === 404) return;
          await pause(known?.state === "live" ? patience(known) : UNREACHABLE);
        }
      }
    };
    void watch();
    return () => { state.stopped = true; };
  }, [id]);
  const refresh = () => { control.current.wanted = true; control.current.wake(); };
  const raised = (hand: Hand | null) => { setSession((now) => now && { ...now, hand }); refresh(); };
  const kept = (now: Lifetime) => setSession((before) => before && { ...before, ...now, at: Date.now() });
  return { session, error, refresh, raised, kept };
}

function Lab({ id }: { id: string }) {
  const { session, error, refresh, raised, kept } = useSession(id);
  const [endedHere, setEndedHere] = useState(false);
  useEffect(keepSignedIn, []);
  useEffect(() => {
    if (session) document.title = `${session.lesson.title} · ${text.product}`;
  }, [session?.lesson.title]);

  const { ended, acted } = session ?? {};
  useEffect(() => {
    if (ended?.by === "reset" && ended.successor) follow(ended.successor, acted?.act === "reset" ? text.remake.resetBy(acted.who) : text.remake.elsewhere);
  }, [ended?.successor]);

  if (ended?.by === "reset" && ended.successor) return <Starting session={null} error={null} />;
  if (error?.status === 404) return <NotFound />;
  if (session?.error) return <Failed session={session} error={session.error} />;
  if (endedHere || session?.state === "ended") return <Ended session={session!} byStudent={endedHere} />;
  if (session?.state === "live") {
    const end = async () => { await api.end(id); setEndedHere(true); refresh(); };
    return <Workspace session={session} refresh={refresh} raised={raised} kept={kept} onEnd={end} />;
  }
  return <Starting session={session} error={error} />;
}

show(<Lab id={document.body.dataset["session"] ?? ""} />);
