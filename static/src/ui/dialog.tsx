// Modal dialogs.

import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { text } from "./strings.ts";

export interface DialogProps { title: string; children: ComponentChildren; onClose: () => void; wide?: boolean }

/** The browser keeps the focus inside, and it goes back to where it was. */
export function Dialog({ title, children, onClose, wide = false }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
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
    <dialog ref={element} class={wide ? "dialog-wide" : ""} aria-labelledby={id} onCancel={(event) => { event.preventDefault(); onClose(); }}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

export interface ConfirmProps {
  title: string; children: ComponentChildren; action: string; danger?: boolean; no?: string;
  onYes: () => void; onNo: () => void; more?: ComponentChildren;
}

/** A question. The harmless answer has the focus where the other one can't be undone. */
export function Confirm({ title, children, action, danger = false, no = text.cancel, onYes, onNo, more }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onNo}>
      {children}
      <div class="buttons">
        <button type="button" class="button" autofocus={danger} onClick={onNo}>{no}</button>
        {more}
        <button type="button" class={`button ${danger ? "button-danger" : "button-primary"}`} autofocus={!danger} onClick={onYes}>{action}</button>
      </div>
    </Dialog>
  );
}
