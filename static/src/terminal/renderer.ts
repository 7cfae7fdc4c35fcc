// How cells are drawn: by the GPU where there is one, else by the DOM.

import { WebglAddon } from "@xterm/addon-webgl";
import type { Terminal } from "@xterm/xterm";

// Renderers that compute on the CPU: drawing one frame with them blocks the page for 100 ms and more, the DOM takes a tenth.
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

export function useBestRenderer(term: Terminal): void {
  if (!accelerated()) return;
  try {
    const webgl = new WebglAddon();
    webgl.onContextLoss(() => webgl.dispose()); // xterm then draws with the DOM
    term.loadAddon(webgl);
  } catch {
    // No WebGL 2 here: xterm draws with the DOM.
  }
}

/** Whether there is a GPU behind WebGL 2. */
function accelerated(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext(); // a page may have few contexts
  return !SOFTWARE.test(renderer);
}
