// The HTTP API (docs/protocol.md): JSON in and out, and every failure as one kind of error.

const TIMEOUT = 15_000; // ms
const RENEW_EVERY = 10 * 60_000; // ms

export interface User { id: string; name: string; email: string }
export interface Lesson {
  id: string;
  course: { id: string; title: string; role: string };
  title: string;
  minutes: number;
  session: { id: string; state: "starting" | "live" | "ended" } | null;
}
export interface Progress { step: string; done: number; of: number; seconds: number }
export interface Session {
  id: string;
  state: "starting" | "live" | "ended";
  progress: Progress | null;
  terminals: { id: string }[];
  error: { code: string; message: string } | null;
  lesson: { id: string; title: string; minutes: number };
  ends_at: string | number | null;
}

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

async function call<T>(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<T> {
  const request: RequestInit = { method, credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) };
  request.headers = { Accept: "application/json", ...(body !== undefined && { "Content-Type": "application/json" }) };
  if (body !== undefined) request.body = JSON.stringify(body);
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, request);
    text = await response.text();
  } catch {
    const message = navigator.onLine ? "The server doesn't answer. Try again in a moment." : "You are offline. Check your network, then try again.";
    throw new ApiError(0, "unreachable", message);
  }
  const answer = parse(text);
  if (response.ok) return answer as T;
  const { code, message } = (answer as { error?: { code?: string; message?: string } } | null)?.error ?? {};
  const wait = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  throw new ApiError(response.status, code ?? `http_${response.status}`, message ?? `The server answered ${response.status}.`,
    Number.isFinite(wait) ? wait : null);
}

function parse(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

const id = encodeURIComponent;

export const api = {
  login: (email: string, password: string) => call<{ user: User }>("POST", "/api/login", { email, password }),
  logout: () => call<null>("POST", "/api/logout"),
  me: () => call<{ user: User }>("GET", "/api/me"),
  lessons: () => call<{ lessons: Lesson[] }>("GET", "/api/lessons"),
  start: (lesson: string) => call<{ id: string }>("POST", "/api/sessions", { lesson }),
  session: (session: string) => call<Session>("GET", `/api/sessions/${id(session)}`),
  end: (session: string) => call<null>("DELETE", `/api/sessions/${id(session)}`),
  openTerminal: (session: string) => call<{ id: string }>("POST", `/api/sessions/${id(session)}/terminals`),
  closeTerminal: (session: string, terminal: string) => call<null>("DELETE", `/api/sessions/${id(session)}/terminals/${id(terminal)}`),
};

export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(0, "page", String(error));
}

/** The sign-in lives as long as pages ask for it. A failure says nothing here: the next real call will. */
export function keepSignedIn(): void {
  setInterval(() => void api.me().catch(() => undefined), RENEW_EVERY);
}

export function sessionPath(session: string): string {
  return `/sessions/${id(session)}`;
}

export function goToSignIn(): void {
  location.replace(`/signin?next=${id(location.pathname + location.search)}`);
}
