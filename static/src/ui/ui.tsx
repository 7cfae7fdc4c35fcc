// What several pages share: the header, dialogs, notes, and the voice for screen readers.

import { type ComponentChildren, render, type VNode } from "preact";
import { type ApiError, api, goToSignIn, asApiError, tellSignedOut } from "./api.ts";
import { set, useSettings } from "./settings.ts";
import { text } from "./strings.ts";

export function show(page: VNode, title?: string): void {
  if (title) document.title = `${title} · ${text.product}`;
  voice(); // a live region speaks only of what changes after it is there
  render(page, document.getElementById("app")!);
}

export interface HeaderProps { trail?: readonly string[]; children?: ComponentChildren }

/** `trail`: where one is, the last of it is the page's title. */
export function Header({ trail = [], children }: HeaderProps) {
  return (
    <header class="header">
      <a class="brand" href="/" title={text.myLessons}><Mark /><span class="brand-name">{text.product}</span></a>
      {trail.map((name, number) => {
        const crumb = <><span class="crumb-arrow" aria-hidden="true">▸ </span>{name}</>;
        return number === trail.length - 1 ? <h1 key={name} class="crumb crumb-last">{crumb}</h1> : <span key={name} class="crumb">{crumb}</span>;
      })}
      <div class="header-rest">{children}</div>
    </header>
  );
}

function Mark() {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
      <rect x="1.5" y="3" width="21" height="18" rx="4" /><path d="M6.5 8.5 10 12l-3.5 3.5M12.5 16h5" />
    </svg>
  );
}

/** Who is signed in, the switch of the theme, and the way out. */
export function Account({ onError }: { onError: (error: ApiError) => void }) {
  const leave = () => void api.logout().then(() => { tellSignedOut(); goToSignIn(); }, (failure) => onError(asApiError(failure)));
  return (
    <>
      <span class="user">{document.body.dataset["user"]}</span>
      <ThemeSwitch />
      <button type="button" class="button button-quiet" onClick={leave}>{text.signOut}</button>
    </>
  );
}

/** For who forgot a sign-in somewhere: every device of theirs, this one too. What runs in their terminals goes on. */
export function SignOutEverywhere({ onError }: { onError: (error: ApiError) => void }) {
  const leave = () => void api.logoutEverywhere().then(() => { tellSignedOut(); goToSignIn(); }, (failure) => onError(asApiError(failure)));
  return <p class="hint">{text.elsewhere.question} <button type="button" class="button button-quiet" onClick={leave}>{text.elsewhere.action}</button></p>;
}

const THEMES = ["system", "light", "dark"] as const;
const THEME_MARKS = { system: "◐", light: "☀", dark: "☾" };

/** `words`: whether the choice is written beside its mark. */
export function ThemeSwitch({ words = false }: { words?: boolean }) {
  const { theme } = useSettings();
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
  return (
    <button type="button" class="button button-quiet theme-switch" onClick={() => { set({ theme: next }); announce(`${text.theme.label}: ${text.theme[next]}`); }}
      title={`${text.theme.label}: ${text.theme[theme]}`} aria-label={`${text.theme.label}: ${text.theme[theme]}`}>
      <span aria-hidden="true">{THEME_MARKS[theme]}{words && ` ${text.theme[theme]}`}</span>
    </button>
  );
}

export function Centred({ children, narrow = true }: { children: ComponentChildren; narrow?: boolean }) {
  return <main class={narrow ? "page page-narrow" : "page"}>{children}</main>;
}

export function ErrorNote({ error }: { error: Pick<ApiError, "code" | "message"> }) {
  return <p class="note note-error" role="alert">{sentence(error.message)} <code class="error-code">{error.code}</code></p>;
}

/** The server's messages begin and end as they stand in logs and close frames; people read sentences. */
export function sentence(message: string): string {
  return message.charAt(0).toUpperCase() + message.slice(1) + (/[.!?…]$/.test(message) ? "" : ".");
}

const SPEAK_AFTER = 50; // ms: a region speaks of what changes after it is there, and of the same words only when they come anew

/** The live region of the page, or of the dialog that is open: inside one, everything else is silent. */
function voice(): HTMLElement {
  const home = document.querySelector("dialog[open]") ?? document.body;
  const found = home.querySelector<HTMLElement>(":scope > .voice");
  if (found) return found;
  const made = Object.assign(document.createElement("div"), { className: "voice visually-hidden" });
  made.setAttribute("role", "status");
  home.append(made);
  return made;
}

/** Says something to screen readers, politely. */
export function announce(message: string): void {
  const spoken = voice();
  spoken.textContent = "";
  setTimeout(() => { spoken.textContent = message; }, SPEAK_AFTER);
}

/** To the clipboard; without the clipboard's API (plain http) by the browser's own copy. */
export async function copyText(copied: string): Promise<boolean> {
  if (!copied) return false;
  try {
    await navigator.clipboard.writeText(copied);
    return true;
  } catch {
    return copyBySelection(copied);
  }
}

function copyBySelection(copied: string): boolean {
  const field = document.createElement("textarea");
  const before = document.activeElement;
  field.className = "visually-hidden";
  field.value = copied;
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  return done;
}
