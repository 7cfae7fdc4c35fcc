// Text that comes from the container, made fit to be shown by the page. Pure.

const MAX_TITLE = 60; // characters

// Control characters, and those that turn the direction of what follows: a title could pretend to be something else.
const UNFIT = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/gu;

/** One line, without anything invisible, shortened. */
export function cleanTitle(text: string, most: number = MAX_TITLE): string {
  const clean = text.replace(UNFIT, " ").replace(/\s+/gu, " ").trim();
  const characters = [...clean];
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : clean;
}

/** What a paste is: CR LF and CR are line ends, too. */
export function lines(text: string): string[] {
  return text.replace(/\r\n?/g, "\n").replace(/\n$/, "").split("\n");
}

/** Without control characters but tabs and line ends: an ESC [ 201 ~ in it would end a bracketed paste early, and run the rest. */
export function harmless(pasted: string): string {
  return pasted.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, "");
}

/** Whether pasting it into a program that doesn't know bracketed paste runs something at once. */
export function runsAtOnce(text: string): boolean {
  return /[\r\n]/.test(text);
}
