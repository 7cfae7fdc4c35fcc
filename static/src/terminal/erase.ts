// Mends xterm 6.0, in the page and in the screen helper: erasing up to the cursor (ED 1) throws in the last column of the last row
// where nothing has scrolled away, as in every full-screen program. A terminal of the page never parses anything after that.

interface Parsing {
  readonly cols: number;
  readonly rows: number;
  readonly parser: { registerCsiHandler(id: { prefix?: string; final: string }, callback: (params: (number | number[])[]) => boolean): unknown };
}

interface Inside {
  _core: {
    _bufferService: { buffer: { x: number; y: number } };
    _inputHandler: {
      eraseInDisplay(params: { params: number[] }, respectProtect: boolean): boolean;
      eraseInLine(params: { params: number[] }, respectProtect: boolean): boolean;
    };
  };
}

export function mendErase(term: Parsing): void {
  for (const prefix of ["", "?"]) {
    term.parser.registerCsiHandler({ ...(prefix && { prefix }), final: "J" }, ([what]) => {
      const { _bufferService: { buffer }, _inputHandler: handler } = (term as unknown as Inside)._core;
      if (what !== 1 || buffer.y < term.rows - 1 || buffer.x < term.cols - 1) return false;
      // One column before, and then the row: the same, but for the flag of a row that isn't there.
      const { x } = buffer;
      buffer.x = term.cols - 2;
      handler.eraseInDisplay({ params: [1] }, prefix !== "");
      buffer.x = x;
      return handler.eraseInLine({ params: [1] }, prefix !== "");
    });
  }
}
