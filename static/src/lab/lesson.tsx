// The lesson's text beside the terminal. The server rendered and sanitised it; here its code blocks get their buttons.

import { useLayoutEffect, useRef } from "preact/hooks";
import { text } from "../ui/strings.ts";
import { copyText } from "../ui/ui.tsx";

const SHELLS = ["sh", "bash", "shell"];

export interface LessonActions {
  /** Runs a command in the terminal; what became of it, in words. */
  run(command: string): Promise<string> | string;
}

/** The lesson's text as the server put it into the page; null where it has none. */
export function lessonText(): DocumentFragment | null {
  const template = document.getElementById("lesson");
  if (!(template instanceof HTMLTemplateElement) || template.content.childElementCount === 0) return null;
  return document.importNode(template.content, true);
}

/** `actions`: none where there is no terminal that could run anything. */
export function LessonText({ actions }: { actions: LessonActions | null }) {
  const article = useRef<HTMLElement>(null);
  const latest = useRef(actions);
  latest.current = actions;
  useLayoutEffect(() => {
    const content = lessonText();
    if (!content) return article.current!.replaceChildren(Object.assign(document.createElement("p"), { textContent: text.lab.noLesson }));
    for (const code of content.querySelectorAll<HTMLElement>("pre > code")) equip(code, () => latest.current);
    article.current!.replaceChildren(content);
  }, []);
  return <article ref={article} class="lesson-text" />;
}

function equip(code: HTMLElement, actions: () => LessonActions | null): void {
  const pre = code.parentElement!;
  const box = Object.assign(document.createElement("div"), { className: "code" });
  const bar = Object.assign(document.createElement("div"), { className: "code-bar" });
  const said = Object.assign(document.createElement("span"), { className: "code-said" });
  said.setAttribute("role", "status");
  pre.replaceWith(box);
  box.append(pre, bar, said);
  const command = (code.textContent ?? "").replace(/\n+$/, "");
  const language = /language-(\S+)/.exec(code.className)?.[1] ?? "";
  if (actions() && SHELLS.includes(language) && code.dataset["run"] !== "off") {
    bar.append(button(text.code.run, text.code.runTitle, async () => {
      const found = actions();
      if (found) say(said, await found.run(command));
    }));
  }
  bar.append(button(text.copy, text.code.copyTitle, async () => { if (await copyText(command)) say(said, text.copied); }));
}

const SAID_FOR = 6000; // ms

function say(place: HTMLElement, words: string): void {
  place.textContent = words;
  setTimeout(() => { if (place.textContent === words) place.textContent = ""; }, SAID_FOR);
}

function button(label: string, title: string, act: () => Promise<void>): HTMLButtonElement {
  const made = Object.assign(document.createElement("button"), { type: "button", className: "button button-small", title, textContent: label });
  made.addEventListener("click", () => void act());
  return made;
}
