// What several pages share: the header, dialogs, notes, and the voice for screen readers.

import { type ComponentChildren, render, type VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type ApiError, api } from "./api.ts";

export function show(page: VNode, title?: string): void {
  if (title) document.title = `${title} · EduCenter`;
  voice(); // a live region speaks only of what changes after it is there
  render(page, document.getElementById("app")!);
}

export function Header({ title, children }: { title?: string | undefined; children?: ComponentChildren }) {
  return (
    <header class="header">
      <a class="brand" href="/" title="My lessons"><Mark /><span class="brand-name">EduCenter</span></a>
      {title && <h1 class="crumb"><span class="crumb-arrow" aria-hidden="true">▸ </span>{title}</h1>}
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

export function Centred({ children, narrow = true }: { children: ComponentChildren; narrow?: boolean }) {
  return <main class={narrow ? "page page-narrow" : "page"}>{children}</main>;
}

export function ErrorNote({ error }: { error: Pick<ApiError, "code" | "message"> }) {
  return <p class="note note-error" role="alert">{sentence(error.message)} <code class="error-code">{error.code}</code></p>;
}

/** The server's messages begin and end as they stand in logs and close frames; people read sentences. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

export interface DialogProps { title: string; children: ComponentChildren; onClose: () => void }

/** A modal dialog: the browser keeps the focus inside, and it goes back to where it was. */
export function Dialog({ title, children, onClose }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const dialog = element.current!;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog ref={element} aria-labelledby="dialog-title" onCancel={(event) => { event.preventDefault(); onClose(); }}>
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}

export interface ConfirmProps { title: string; text: string; action: string; onYes: () => void; onNo: () => void }

export function Confirm({ title, text, action, onYes, onNo }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onNo}>
      <p>{text}</p>
      <div class="buttons">
        <button type="button" class="button" autofocus onClick={onNo}>Cancel</button>
        <button type="button" class="button button-danger" onClick={onYes}>{action}</button>
      </div>
    </Dialog>
  );
}

let region: HTMLElement | null = null;

function voice(): HTMLElement {
  if (!region) {
    region = document.createElement("div");
    region.className = "visually-hidden";
    region.setAttribute("role", "status");
    document.body.append(region);
  }
  return region;
}

/** Says something to screen readers, politely. */
export function announce(text: string): void {
  if (voice().textContent !== text) voice().textContent = text;
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export async function signOut(): Promise<void> {
  await api.logout();
  location.assign("/signin");
}
