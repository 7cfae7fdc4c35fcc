// The terminal's font. Loading begins with the page, beside everything else, because the emulator's cells are measured from it.

const FAMILY = "JetBrains Mono NL";
export const FONT_FAMILY = `"${FAMILY}", ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace`;
export const FONT_SIZE = 15; // px: cells of JetBrains Mono are then exactly 9 px wide, whichever way they are drawn

export const fontsLoaded: Promise<unknown> = Promise.all(
  ["400", "700"].map((weight) => document.fonts.load(`${weight} ${FONT_SIZE}px "${FAMILY}"`))).catch(() => undefined);
