// The terminal's colours, light and dark, after the page's own.

import type { ITheme } from "@xterm/xterm";

const DARK: ITheme = {
  background: "#14171c", foreground: "#e4e7ec", cursor: "#8ab4f8", cursorAccent: "#14171c",
  selectionBackground: "#35507a", selectionInactiveBackground: "#2b3850",
  black: "#3a414d", red: "#f2777a", green: "#8fc98b", yellow: "#e6c06e", blue: "#82aaff", magenta: "#c99bf0", cyan: "#6fd0d6", white: "#cdd3dc",
  brightBlack: "#7d8796", brightRed: "#ff9a9c", brightGreen: "#aee3a9", brightYellow: "#f5d890", brightBlue: "#a9c5ff", brightMagenta: "#dfbcfa",
  brightCyan: "#9be6ea", brightWhite: "#ffffff",
};

const LIGHT: ITheme = {
  background: "#ffffff", foreground: "#1d2229", cursor: "#1a5fd0", cursorAccent: "#ffffff",
  selectionBackground: "#bcd6ff", selectionInactiveBackground: "#dde6f3",
  black: "#1d2229", red: "#b3261e", green: "#1e7031", yellow: "#855d00", blue: "#1a5fd0", magenta: "#8430b8", cyan: "#0b6e78", white: "#66707d",
  brightBlack: "#56606d", brightRed: "#c9332b", brightGreen: "#237f39", brightYellow: "#966a00", brightBlue: "#2f6fe0", brightMagenta: "#9a44cf",
  brightCyan: "#0f7d88", brightWhite: "#3a424d",
};

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Calls back with the theme of now, and again whenever the system's choice changes; returns how to stop. */
export function watchTheme(apply: (theme: ITheme) => void): () => void {
  const update = () => apply(dark.matches ? DARK : LIGHT);
  dark.addEventListener("change", update);
  update();
  return () => dark.removeEventListener("change", update);
}
