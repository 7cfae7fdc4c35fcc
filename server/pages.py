"""Pages: the HTML shells that the bundles fill, and the pages that say what went wrong."""

import html
import json
from pathlib import Path
from urllib.parse import quote

import structlog
from aiohttp import web

from server import auth, keys
from server.prose import render
from terminals.errors import NotFound, TerminalsError, Unavailable
from terminals.store.courses import COURSE
from terminals.store.database import ID
from terminals.store.users import User

log = structlog.get_logger(__name__)

THEME_COOKIE = "educenter-theme"
"""What the page keeps of the person's choice, so that no page is painted in the other theme first."""
COMPRESS_FROM = 1024
"""Bytes; shorter answers gain nothing."""

_SHELL = """<!doctype html>
<html lang="en"{theme}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
{links}</head>
<body{data}>
{body}
</body>
</html>
"""
_APP = """{template}<div id="app"></div>
<noscript>EduCenter needs JavaScript: your terminal runs in this page.</noscript>
<script type="module" src="/static/{script}"></script>"""
_ERROR = """<header class="header"><a class="brand" href="/">{mark}<span class="brand-name">EduCenter</span></a></header>
<main class="page page-narrow"><section class="card">
<h1>{heading}</h1>
<p>{message}.</p>
<p class="buttons">{again}<a class="button button-primary" href="/">My lessons</a></p>
<p><code class="error-code">{code}</code></p>
</section></main>"""
_AGAIN = '<a class="button" href="{path}">Try again</a>'
_HEADINGS = {
    403: "You may not do that",
    404: "There is nothing here",
    500: "Something went wrong",
    503: "Try again in a moment",
}


class Bundle:
    """The built front end: which hashed file stands for a name (`static/dist/manifest.json`)."""

    def __init__(self, folder: Path) -> None:
        try:
            self._names: dict[str, str] = json.loads((folder / "manifest.json").read_text())
        except (OSError, ValueError):
            log.exception("bundle_missing", folder=str(folder))
            self._names = {}

    def script(self, page: str) -> str:
        """The page's script.

        Raises:
            Unavailable: the front end isn't built.
        """
        if f"{page}.js" not in self._names:
            message = "The front end isn't built. Whoever runs this: npm run build in static/"
            raise Unavailable(message, code="no_bundle")
        return self._names[f"{page}.js"]

    def mark(self) -> str:
        """The product's mark, as an image."""
        name = self._names.get("icon.svg")
        return f'<img class="mark" src="/static/{name}" alt="">' if name else ""

    def links(self, page: str) -> str:
        """What the page needs at once, and on the way to a lab what the lab will need: a prompt waits for its terminal."""
        names = self._names
        fonts = [file for name, file in names.items() if name.endswith(("-Regular.woff2", "-Bold.woff2"))]
        found = [f'rel="icon" href="/static/{names["icon.svg"]}"'] if "icon.svg" in names else []
        if f"{page}.css" in names:
            found.append(f'rel="stylesheet" href="/static/{names[f"{page}.css"]}"')
        if page in ("lab", "watch"):
            found.append(f'rel="modulepreload" href="/static/{names["view.js"]}"')
            found += [f'rel="preload" as="font" type="font/woff2" crossorigin href="/static/{file}"' for file in fonts]
        elif page == "lessons":
            wanted = (names["lab.js"], names["view.js"], names["lab.css"], *fonts)
            found += [f'rel="prefetch" href="/static/{file}"' for file in wanted]
        return "".join(f"<link {link}>\n" for link in found)


BUNDLE = web.AppKey("bundle", Bundle)


def routes() -> list[web.RouteDef]:
    """The pages; static files are the application's."""
    return [
        web.get("/", lessons),
        web.get("/signin", signin),
        web.get("/password", password),
        web.get(f"/sessions/{{id:{ID}}}", lab),
        web.get(f"/courses/{{id:{COURSE}}}", course),
        web.get(f"/courses/{{id:{COURSE}}}/help", help_given),
        web.get(f"/watch/{{id:{ID}}}", watch),
    ]


async def signin(request: web.Request) -> web.Response:
    return _shell(request, "signin", "Sign in")


async def password(request: web.Request) -> web.Response:
    return _shell(request, "password", "Set your password")


async def lessons(request: web.Request) -> web.Response:
    user = await _user(request)
    return _shell(request, "lessons", "My lessons", user=user.name)


async def lab(request: web.Request) -> web.Response:
    user, store = await _user(request), request.app[keys.STORE]
    session = await store.sessions.of_user(request.match_info["id"], user.id)
    if session is None:
        raise NotFound("There is no such lab")
    text = render(await store.lessons.body(session.lesson_id))
    return _shell(request, "lab", session.lesson_title, text, user=user.name, session=session.id)


async def course(request: web.Request) -> web.Response:
    user = await _user(request)
    found = await request.app[keys.CLASSROOM].course(request.match_info["id"], user.id)
    return _shell(request, "course", found.title, user=user.name, me=str(user.id), course=found.id)


async def help_given(request: web.Request) -> web.Response:
    user = await _user(request)
    found = await request.app[keys.CLASSROOM].course(request.match_info["id"], user.id)
    return _shell(
        request, "help", f"Watching and typing · {found.title}", user=user.name, course=found.id, about=found.title
    )


async def watch(request: web.Request) -> web.Response:
    user = await _user(request)
    found = await request.app[keys.CLASSROOM].watched(request.match_info["id"], user.id)
    title = f"{found.student} · {found.lesson}"
    shown = {"terminal": found.claim.terminal, "student": found.student, "about": found.lesson, "course": found.course}
    return _shell(request, "watch", title, user=user.name, **shown)


async def _user(request: web.Request) -> User:
    try:
        return await auth.signed_in(request)
    except auth.NotSignedIn as error:
        target = "/signin" if request.path == "/" else f"/signin?next={quote(request.path_qs, safe='')}"
        raise web.HTTPSeeOther(target) from error


def _shell(request: web.Request, page: str, title: str, lesson: str = "", **data: str) -> web.Response:
    """A page's HTML; `lesson` is safe HTML that the page puts beside the terminal."""
    template = f'<template id="lesson">{lesson}</template>\n' if lesson else ""
    body = _APP.format(template=template, script=request.app[BUNDLE].script(page))
    return _answer(request, page, title, body, 200, data)


def wants(request: web.Request) -> bool:
    """Whether an answer to this request is read by a person."""
    return not request.path.startswith(("/api/", "/ws/")) and "text/html" in request.headers.get("Accept", "")


def error_page(request: web.Request, error: TerminalsError, status: int) -> web.Response:
    """An error for people: what, why, what now, and the code that ops can grep."""
    body = _ERROR.format(
        mark=request.app[BUNDLE].mark(),
        heading=_HEADINGS.get(status, "That did not work"),
        message=html.escape(error.message),
        again=_AGAIN.format(path=html.escape(request.path_qs)) if status >= 500 else "",
        code=html.escape(error.code),
    )
    return _answer(request, "error", _HEADINGS.get(status, "Error"), body, status, {})


def _answer(request: web.Request, page: str, title: str, body: str, status: int, data: dict[str, str]) -> web.Response:
    theme = request.cookies.get(THEME_COOKIE)
    text = _SHELL.format(
        theme=f' data-theme="{theme}"' if theme in ("light", "dark") else "",
        title=html.escape(f"{title} · EduCenter"),
        links=request.app[BUNDLE].links(page),
        data="".join(f' data-{key}="{html.escape(value)}"' for key, value in data.items()),
        body=body,
    )
    headers = {"Cache-Control": "no-store"}
    response = web.Response(text=text, status=status, content_type="text/html", headers=headers)
    if len(text) > COMPRESS_FROM:
        response.enable_compression()
    return response
