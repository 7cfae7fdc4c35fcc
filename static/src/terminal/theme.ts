// The terminal's colours: light and dark after the page's own, or a scheme that the person chose.

import type { ITheme } from "@xterm/xterm";
import { isDark, onSettings, settings } from "../ui/settings.ts";

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

const CONTRAST: ITheme = {
  background: "#000000", foreground: "#ffffff", cursor: "#ffff00", cursorAccent: "#000000",
  selectionBackground: "#005fd7", selectionInactiveBackground: "#00479f",
  black: "#4d4d4d", red: "#ff8080", green: "#5fff5f", yellow: "#ffff5f", blue: "#8fb8ff", magenta: "#ff9fff", cyan: "#5fffff", white: "#e6e6e6",
  brightBlack: "#b3b3b3", brightRed: "#ffb3b3", brightGreen: "#afffaf", brightYellow: "#ffffaf", brightBlue: "#c2d8ff", brightMagenta: "#ffcfff",
  brightCyan: "#afffff", brightWhite: "#ffffff",
};

// Solarized by Ethan Schoonover (MIT licence): one set of colours on two grounds.
const SOLARIZED: ITheme = {
  black: "#073642", red: "#dc322f", green: "#859900", yellow: "#b58900", blue: "#268bd2", magenta: "#d33682", cyan: "#2aa198", white: "#eee8d5",
  brightBlack: "#586e75", brightRed: "#cb4b16", brightGreen: "#586e75", brightYellow: "#657b83", brightBlue: "#839496", brightMagenta: "#6c71c4",
  brightCyan: "#93a1a1", brightWhite: "#fdf6e3",
};
const SOLARIZED_DARK: ITheme = {
  ...SOLARIZED, background: "#002b36", foreground: "#93a1a1", cursor: "#93a1a1", cursorAccent: "#002b36",
  selectionBackground: "#0f5666", selectionInactiveBackground: "#0b4250",
};
const SOLARIZED_LIGHT: ITheme = {
  ...SOLARIZED, background: "#fdf6e3", foreground: "#586e75", cursor: "#586e75", cursorAccent: "#fdf6e3",
  selectionBackground: "#d9d2bd", selectionInactiveBackground: "#e6dfca",
};

function chosen(): ITheme {
  switch (settings().colours) {
    case "page": return isDark() ? DARK : LIGHT;
    case "dark": return DARK;
    case "light": return LIGHT;
    case "contrast": return CONTRAST;
    case "solarized-dark": return SOLARIZED_DARK;
    case "solarized-light": return SOLARIZED_LIGHT;
  }
}

/** Calls back with the theme of now, and again whenever the choice or the system's changes; returns how to stop. */
export function watchTheme(apply: (theme: ITheme) => void): () => void {
  const update = () => {
    const theme = chosen();
    // What is around the cells has their ground, so that they have no visible edge.
    document.documentElement.style.setProperty("--terminal", theme.background ?? "");
    document.documentElement.style.setProperty("--terminal-text", theme.foreground ?? "");
    const slider = { scrollbarSliderBackground: `${theme.foreground}33`, scrollbarSliderHoverBackground: `${theme.foreground}66`, scrollbarSliderActiveBackground: `${theme.foreground}99` };
    apply({ ...theme, ...slider });
  };
  update();
  return onSettings(update);
}
