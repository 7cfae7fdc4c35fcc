"""Prose: a lesson's CommonMark as HTML that is safe to put into a page."""

import re
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

KEPT = 256
"""Rendered texts that are remembered."""
FOLDED = re.compile(r"(Hint|Solution)\b")
"""A quotation that begins with one of these in bold is folded up: what a student opens when stuck."""
_WORD = re.compile(r"[A-Za-z0-9-]{1,30}")
_TAGS = {
    *(
        "p",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "blockquote",
        "pre",
        "code",
        "em",
        "strong",
        "s",
        "a",
        "br",
    ),
    *("hr", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "code": {"class", "data-run"}, "ol": {"start"}}


@lru_cache(maxsize=KEPT)
def render(body: str) -> str:
    """HTML of `body`: CommonMark with tables and strikethrough, without raw HTML and images.

    Headings begin at h2, the page's own title is h1. The first word after a code fence names the language
    (`class="language-sh"`); `norun` behind it says that it isn't to be run (`data-run="off"`).
    """
    return nh3.clean(
        _markdown.render(body),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def _shift_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"


def _fold(state: StateCore) -> None:
    """Turns the quotations that are hints or solutions into details with a summary."""
    folded: list[bool] = []
    for number, token in enumerate(state.tokens):
        if token.type == "blockquote_open":
            title = _folded_title(state.tokens[number + 1 : number + 3])
            folded.append(title is not None)
            if title is not None:
                token.type, token.content = "html_block", f"<details><summary>{title}</summary>\n"
                # A paragraph that held nothing but the title isn't drawn.
                empty = not state.tokens[number + 2].children
                state.tokens[number + 1].hidden = state.tokens[number + 3].hidden = empty
        elif token.type == "blockquote_close" and folded.pop():
            token.type, token.content = "html_block", "</details>\n"


def _folded_title(following: list[Token]) -> str | None:
    """The bold word that a quotation begins with; it is taken out of the text."""
    children = following[1].children if len(following) == 2 and following[1].type == "inline" else None
    words = [child for child in children or [] if child.type != "text" or child.content]
    if len(words) < 3 or words[0].type != "strong_open" or not FOLDED.fullmatch(words[1].content):
        return None
    following[1].children = words[3:]
    return words[1].content


def _fence(_renderer: RendererHTML, tokens: list[Token], at: int, _options: OptionsDict, _env: EnvType) -> str:
    language, *words = _WORD.findall(tokens[at].info) or [""]
    named = f' class="language-{language}"' if language else ""
    run = ' data-run="off"' if "norun" in words else ""
    code = tokens[at].content.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<pre><code{named}{run}>{code}</code></pre>\n"


_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
_markdown.core.ruler.push("shift_headings", _shift_headings)
_markdown.core.ruler.push("fold", _fold)
_markdown.add_render_rule("fence", _fence)
