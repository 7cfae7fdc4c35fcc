// From My lessons into a lab without a new document: what the lab's page loads is here already, so its terminal comes at once.
// A browser that goes back, or anything that fails on the way, loads the page as ever.

import { render } from "preact";
import { api, type Session, sessionPath } from "./api.ts";
import { announce } from "./ui.tsx";

const PATIENCE = 5000; // ms

let shown = location.pathname; // whose page this document is
let underWay = false; // a second click must not take away what the first one showed
let first: { id: string; answer: Promise<Session> } | null = null;

addEventListener("popstate", () => { if (location.pathname !== shown) location.reload(); });

/** The answer about a session that was asked for on the way here; once. */
export function asked(id: string): Promise<Session> | null {
  const found = first?.id === id ? first.answer : null;
  first = null;
  return found;
}

/** Compiled before anybody clicks; the server's page only says what may be fetched when there is time. */
export function prepare(): void {
  const later = globalThis.requestIdleCallback ?? ((then: () => void) => setTimeout(then, 500));
  later(() => {
    for (const link of document.querySelectorAll<HTMLLinkElement>('link[rel="prefetch"][href$=".js"]')) {
      document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href: link.href }));
    }
  });
}

/** Shows the lab of a session here. */
export async function enterLab(session: string): Promise<void> {
  if (underWay) return;
  underWay = true;
  const path = sessionPath(session);
  try {
    first = { id: session, answer: api.session(session) };
    first.answer.catch(() => undefined); // the page asks again, and says what is wrong
    const page = await fetched(path);
    const script = page.querySelector<HTMLScriptElement>('script[type="module"]')!;
    await within(Promise.all([...page.querySelectorAll<HTMLLinkElement>('link[rel="stylesheet"]')].map(styled)));
    replaceBody(page);
    history.pushState(null, "", path);
    shown = path;
    document.title = page.title;
    announce(page.title);
    await within(import(script.getAttribute("src")!));
  } catch {
    location.assign(path);
  }
}

function within<T>(waited: Promise<T>): Promise<T> {
  return Promise.race([waited, new Promise<never>((_, fail) => setTimeout(() => fail(new Error("too slow")), PATIENCE))]);
}

async function fetched(path: string): Promise<Document> {
  const request: RequestInit = { headers: { Accept: "text/html" }, credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(PATIENCE) };
  const answer = await fetch(path, request);
  if (!answer.ok || answer.redirected) throw new Error(`${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** The style sheet, when it is there. */
function styled(sheet: HTMLLinkElement): Promise<void> {
  return new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: sheet.getAttribute("href")! });
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", () => reject(new Error(link.href)));
    document.head.append(link);
  });
}

/** What the server's page has beside its script: the lesson's text, an empty place for the page, and whose it is. */
function replaceBody(page: Document): void {
  const former = document.querySelector<HTMLLinkElement>('link[rel="stylesheet"]')!;
  render(null, document.getElementById("app")!);
  former.remove();
  for (const name of Object.keys(document.body.dataset)) delete document.body.dataset[name];
  Object.assign(document.body.dataset, page.body.dataset);
  const lesson = page.getElementById("lesson");
  if (lesson) document.body.prepend(document.importNode(lesson, true));
  scrollTo(0, 0);
}
