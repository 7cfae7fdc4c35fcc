// The HTTP API (docs/protocol.md): JSON in and out, and every failure as one kind of error.

import { text } from "./strings.ts";

const TIMEOUT = 15_000; // ms
const SLOW = 90_000; // ms, where a container is stopped and started
const SIGNED_OUT = "educenter.signed-out";
const RENEW_EVERY = 10 * 60_000; // ms

export interface User { id: string; name: string; email: string }
export interface Lesson {
  id: string;
  course: { id: string; title: string; role: "student" | "instructor" };
  position: number;
  title: string;
  minutes: number;
  done: boolean;
  session: { id: string; state: "starting" | "live" | "ended"; seconds: number } | null;
}
/**
 * Of a start. `place` in the queue: 1 is next, null once it is under way; `seconds_left`: about, null where nobody can tell;
 * `full`: it waits until a place is free, and a server that is being replaced doesn't say it.
 */
export interface Progress { step: string; done: number; of: number; seconds: number; place: number | null; seconds_left: number | null; full?: boolean }
/** The student's own; `place`: 1 is next, null once it is claimed. */
export interface Hand { seconds: number; place: number | null; claimed_by: string | null }
/** How long a live session is kept, in seconds; `extendable_to`: the most that could be left; `idle`: what comes if nobody uses it. */
export interface Lifetime {
  rest: "awake" | "asleep" | "stopped";
  deadline: { seconds_left: number; extendable_to: number } | null;
  idle: { seconds_left: number; then: "asleep" | "stopped" | "ended" } | null;
}
/** The files from before a reset. */
export interface Kept { at: string; until: string }
export interface Session extends Lifetime {
  at: number; // ms: when the answer came, by this page's clock
  id: string;
  state: "starting" | "live" | "ended";
  seconds: number; // since it began
  progress: Progress | null;
  terminals: { id: string; title: string | null; position: number }[];
  error: { code: string; message: string } | null;
  course: { id: string; title: string };
  lesson: { id: string; title: string; minutes: number; position: number };
  network: { kind: "none" | "closed" | "internet"; hosts: string[] };
  restarting?: boolean; // then it has no terminals
  ended: { seconds_ago: number; by: "student" | "idle" | "deadline" | "reset" | "other"; successor?: string | null } | null;
  acted?: { who: string; act: Act["act"]; at: string } | null; // by an instructor, last
  kept?: Kept | null;
  upload_most?: number; // bytes
  next: { id: string; title: string } | null; // lesson
  hand: Hand | null;
}
export interface Course { id: string; title: string; students: number; live: number }
export interface LiveTerminal {
  id: string; title: string | null; position: number; command: string | null;
  state: "typing" | "running" | "idle" | "away"; quiet_seconds: number | null;
}
export interface LiveSession extends Lifetime {
  id: string; student: { id: string; name: string }; lesson: { id: string; title: string };
  state: "starting" | "live"; seconds: number; terminals: LiveTerminal[];
}
export interface RaisedHand {
  id: string; session: string; terminal: string | null; student: { id: string; name: string }; lesson: { id: string; title: string };
  seconds: number; claimed_by: { id: string; name: string } | null;
}
export interface Live {
  course: { id: string; title: string; join_code: string | null }; students: number; sessions: LiveSession[]; hands: RaisedHand[];
}

export interface Rules { watching: "off" | "notice"; assisting: "off" | "ask" | "allow" }
export interface Audit { id: string; who: string; whom: string; session: string; terminal: string; role: "assistant"; from: string; to: string; bytes: number }

/** What an instructor did to a student's lab. */
export interface Act { id: number; who: string; whom: string; session: string; lesson: string; act: "extend" | "restart" | "reset" | "end"; at: string }

export class ApiError extends Error {
  readonly status: number; // 0: no answer at all
  readonly code: string;
  readonly retryAfter: number | null; // seconds

  constructor(status: number, code: string, message: string, retryAfter: number | null = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

async function call<T>(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body?: unknown, timeout = TIMEOUT): Promise<T> {
  const request: RequestInit = { method, credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(timeout) };
  request.headers = { Accept: "application/json", ...(body !== undefined && { "Content-Type": "application/json" }) };
  if (body !== undefined) request.body = JSON.stringify(body);
  let response: Response;
  let answered: string;
  try {
    response = await fetch(path, request);
    answered = await response.text();
  } catch {
    throw new ApiError(0, "unreachable", navigator.onLine ? text.errors.unreachable : text.errors.offline);
  }
  const answer = parse(answered);
  if (response.ok) return answer as T;
  const { code, message } = (answer as { error?: { code?: string; message?: string } } | null)?.error ?? {};
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  throw new ApiError(response.status, code ?? `http_${response.status}`, message ?? text.errors.answered(response.status),
    Number.isFinite(wait) ? wait : null);
}

function parse(answer: string): unknown {
  try {
    return answer === "" ? null : JSON.parse(answer);
  } catch {
    return null;
  }
}

const id = encodeURIComponent;

/** A server that is being replaced doesn't say how long it is kept. */
function kept(answer: Session): Session {
  return { ...answer, rest: answer.rest ?? "awake", deadline: answer.deadline ?? null, idle: answer.idle ?? null, at: Date.now() };
}

export const api = {
  login: (email: string, password: string) => call<{ user: User }>("POST", "/api/login", { email, password }),
  setPassword: (token: string, password: string) => call<null>("POST", "/api/password", { token, password }),
  logout: () => call<null>("POST", "/api/logout"),
  logoutEverywhere: () => call<null>("POST", "/api/logout/everywhere"),
  me: () => call<{ user: User }>("GET", "/api/me"),
  lessons: () => call<{ lessons: Lesson[] }>("GET", "/api/lessons"),
  start: (lesson: string) => call<{ id: string }>("POST", "/api/sessions", { lesson }),
  session: async (session: string) => kept(await call<Session>("GET", `/api/sessions/${id(session)}`)),
  extend: (session: string, stay: boolean) => call<Lifetime>("POST", `/api/sessions/${id(session)}/extend`, { stay }),
  end: (session: string) => call<null>("DELETE", `/api/sessions/${id(session)}`),
  restart: (session: string) => call<null>("POST", `/api/sessions/${id(session)}/restart`, undefined, SLOW),
  reset: (session: string) => call<{ id: string }>("POST", `/api/sessions/${id(session)}/reset`),
  restore: (session: string) => call<{ id: string }>("POST", `/api/sessions/${id(session)}/restore`),
  act: (course: string, session: string, act: Act["act"]) =>
    call<null>("POST", `/api/courses/${id(course)}/sessions/${id(session)}/acts`, { act }, SLOW),
  acts: (course: string) => call<{ acts: Act[] }>("GET", `/api/courses/${id(course)}/acts`),
  homePath: (session: string) => `/api/sessions/${id(session)}/home.tar.gz`,
  /** Whether it can be fetched now: of a download that fails the page hears nothing. */
  homeReady: (session: string) => call<null>("GET", `/api/sessions/${id(session)}/home.tar.gz?check=1`),
  courses: () => call<{ courses: Course[] }>("GET", "/api/courses"),
  live: (course: string) => call<Live>("GET", `/api/courses/${id(course)}/live`),
  rules: (course: string) => call<Rules>("GET", `/api/courses/${id(course)}/rules`),
  changeRules: (course: string, rules: Partial<Rules>) => call<Rules>("PATCH", `/api/courses/${id(course)}/rules`, rules),
  audits: (course: string) => call<{ audits: Audit[] }>("GET", `/api/courses/${id(course)}/audits`),
  raiseHand: (session: string, terminal: string | null) => call<{ hand: Hand | null }>("POST", `/api/sessions/${id(session)}/hand`, { terminal }),
  lowerHand: (session: string) => call<null>("DELETE", `/api/sessions/${id(session)}/hand`),
  claimHand: (hand: string) => call<null>("POST", `/api/hands/${id(hand)}/claim`),
  resolveHand: (hand: string) => call<null>("POST", `/api/hands/${id(hand)}/resolve`),
  join: (code: string) => call<{ course: { id: string; title: string } }>("POST", "/api/enrolments", { code }),
  openTerminal: (session: string) => call<{ id: string }>("POST", `/api/sessions/${id(session)}/terminals`),
  renameTerminal: (session: string, terminal: string, title: string) =>
    call<null>("PATCH", `/api/sessions/${id(session)}/terminals/${id(terminal)}`, { title }),
  closeTerminal: (session: string, terminal: string) => call<null>("DELETE", `/api/sessions/${id(session)}/terminals/${id(terminal)}`),
};

/** A file into the lab, with its progress: fetch has none for what is sent. */
export function upload(session: string, file: File, sent: (bytes: number) => void, signal: AbortSignal): Promise<{ name: string; folder: string }> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const away = () => reject(new ApiError(0, "unreachable", navigator.onLine ? text.errors.unreachable : text.errors.offline));
    request.open("PUT", `/api/sessions/${id(session)}/files/${id(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => sent(event.loaded));
    request.addEventListener("error", away);
    request.addEventListener("abort", away);
    request.addEventListener("load", () => {
      const answer = parse(request.responseText) as { name: string; folder: string; error?: { code?: string; message?: string } } | null;
      if (request.status === 201 && answer) return resolve(answer);
      const { code = `http_${request.status}`, message = text.errors.answered(request.status) } = answer?.error ?? {};
      reject(new ApiError(request.status, code, message));
    });
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(0, "page", String(error));
}

/** The other pages of this browser leave at once: the next person at this computer must not find a shell. */
export function tellSignedOut(): void {
  try {
    localStorage.setItem(SIGNED_OUT, String(Date.now()));
  } catch {
    // Storage is forbidden here: the other pages find out by themselves.
  }
}

let keeping = false;

/** The sign-in lives as long as pages ask for it. A failure says nothing here: the next real call will. */
export function keepSignedIn(): void {
  if (keeping) return; // by the page that led here
  keeping = true;
  addEventListener("storage", (event) => { if (event.key === SIGNED_OUT) goToSignIn(); });
  setInterval(() => void api.me().catch(() => undefined), RENEW_EVERY);
}

export function sessionPath(session: string): string {
  return `/sessions/${id(session)}`;
}

export function goToSignIn(): void {
  location.replace(`/signin?next=${id(location.pathname + location.search)}`);
}
