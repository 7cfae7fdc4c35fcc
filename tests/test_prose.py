"""Prose: what of a lesson's text becomes HTML, and that nothing else does."""

import re

import pytest

from server.prose import render

ALLOWED = re.compile(
    r"</?(?:p|h[2-6]|ul|ol|li|blockquote|pre|em|strong|s|hr|table|thead|tbody|tr|th|td|details|summary|br)/?>"
    r'|<ol start="\d+">'
    r'|<code(?: class="language-[A-Za-z0-9-]+")?(?: data-run="off")?>|</code>|</a>'
    r'|<a href="(?:https?:|mailto:|#|/|\?|[^":<>]*")[^<>]*target="_blank" rel="noopener noreferrer">'
)
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    '[x](https://e.test "\\" onmouseover=\\"alert(1)")',
    "![x](https://e.test/x.png)",
    "<https://e.test/<script>>",
    '```sh"><script>alert(1)</script>\nx\n```',
    "``` sh norun onload=alert(1)\n</code></pre><script>x</script>\n```",
    "> **Hint<script>**\n> x",
    "> **Hint**\n>\n> <details open ontoggle=alert(1)>",
    "| a |\n|---|\n| <svg onload=alert(1)> |",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!-- --><style>*{display:none}</style>",
    "# a {onclick=x}",
    "\x00<\x00script>",
    "[a]: javascript:alert(1)\n\n[a]",
    "> " * 500 + "deep",
    "*" * 5000,
    "[" * 5000,
]


@pytest.mark.parametrize("body", HOSTILE)
def test_nothing_but_plain_elements_comes_out(body: str) -> None:
    found = render(body)
    tags = re.findall(r"<[^>]*>", found)
    assert all(ALLOWED.fullmatch(tag) for tag in tags), [tag for tag in tags if not ALLOWED.fullmatch(tag)]
    assert not re.search(r'href="\s*(?:javascript|data|vbscript)', found, re.IGNORECASE)


def test_headings_begin_below_the_pages_own() -> None:
    assert render("# a\n## b\n###### c") == "<h2>a</h2>\n<h3>b</h3>\n<h6>c</h6>\n"


def test_a_code_block_says_its_language_and_whether_it_runs() -> None:
    assert render("```sh\nls <x> & y\n```") == '<pre><code class="language-sh">ls &lt;x&gt; &amp; y\n</code></pre>\n'
    assert render("```text norun\nx\n```") == '<pre><code class="language-text" data-run="off">x\n</code></pre>\n'
    assert render("```\nx\n```") == "<pre><code>x\n</code></pre>\n"


def test_hints_and_solutions_are_folded_and_other_quotations_are_not() -> None:
    assert render("> **Hint**\n>\n> Look.") == "<details><summary>Hint</summary>\n\n<p>Look.</p>\n</details>\n"
    assert (
        render("> **Solution** `ls`") == "<details><summary>Solution</summary>\n<p> <code>ls</code></p>\n</details>\n"
    )
    assert "<blockquote>" in render("> **Hints** are good")
    assert "<blockquote>" in render("> a **Hint**")


def test_links_open_beside_the_lab() -> None:
    link = '<a href="https://e.test/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">e</a>'
    assert render("[e](https://e.test/?a=1&b=2)") == f"<p>{link}</p>\n"


def test_tables_and_strikethrough_are_known() -> None:
    assert "<td>1</td>" in render("| a |\n|---|\n| 1 |")
    assert render("~~x~~") == "<p><s>x</s></p>\n"


def test_no_text_is_no_html() -> None:
    assert render("") == ""
