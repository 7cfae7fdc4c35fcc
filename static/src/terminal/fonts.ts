// The terminal's font. Loading begins with the page, beside everything else, because the emulator's cells are measured from it.

import { FONT_SIZES } from "../ui/settings.ts";

const FAMILY = "JetBrains Mono NL";
export const FONT_FAMILY = `"${FAMILY}", ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace`;

export const fontsLoaded: Promise<unknown> = Promise.all(
  // At the usual 15 px, cells of JetBrains Mono are exactly 9 px wide, whichever way they are drawn.
  ["400", "700"].map((weight) => document.fonts.load(`${weight} ${FONT_SIZES.usual}px "${FAMILY}"`))).catch(() => undefined);
