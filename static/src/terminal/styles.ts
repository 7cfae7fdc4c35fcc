// xterm.js writes style elements and style attributes; our content policy allows neither, only the CSS object model. While a page has
// a terminal, its document makes constructed stylesheets of the first and declarations of the second.
// (xterm 6.0's own option for another document reaches neither its viewport nor its rows.)

/** An element that stands for a style element: its text becomes a stylesheet of the document until it is removed. */
function stylesheet(): HTMLElement {
  const element = Document.prototype.createElement.call(document, "template");
  const sheet = new CSSStyleSheet();
  let text = "";
  Object.defineProperty(element, "textContent", {
    get: () => text,
    set: (css: string) => { text = css; sheet.replaceSync(css); },
  });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    Element.prototype.remove.call(element);
  };
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  return element;
}

/** For true colour and contrast the DOM renderer appends to its spans' style attribute. */
function setAttribute(this: HTMLElement, name: string, value: string): void {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}

/** Before the first terminal is made; once is enough. */
export function makeStylesSafe(): void {
  document.createElement = ((name: string, options?: ElementCreationOptions): HTMLElement => {
    if (name === "style") return stylesheet();
    const element = Document.prototype.createElement.call(document, name, options) as HTMLElement;
    if (name === "span") element.setAttribute = setAttribute;
    return element;
  }) as typeof document.createElement;
}
