"""Pages: the HTML shells that the bundles fill, and the static files where no nginx serves them."""

import html
import json
from pathlib import Path
from urllib.parse import quote

import structlog
from aiohttp import web

from server import auth, keys
from terminals.errors import NotFound, TerminalsError, Unavailable
from terminals.store.database import ID

log = structlog.get_logger(__name__)

_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
{links}</head>
<body data-page="{page}"{data}>
<div id="app"></div>
<noscript>EduCenter needs JavaScript: your terminal runs in this page.</noscript>
<script type="module" src="/static/{script}"></script>
</body>
</html>
"""


class Bundle:
    """The built front end: which hashed file stands for a name (`static/dist/manifest.json`)."""

    def __init__(self, folder: Path) -> None:
        try:
            self._names: dict[str, str] = json.loads((folder / "manifest.json").read_text())
        except (OSError, ValueError):
            log.exception("bundle_missing", folder=str(folder))
            self._names = {}

    def shell(self, page: str, title: str, **data: str) -> web.Response:
        """A page's HTML."""
        names = self._names
        if f"{page}.js" not in names:
            raise Unavailable(
                "The front end isn't built. Whoever runs this: npm run build in static/", code="no_bundle"
            )
        text = _SHELL.format(
            title=html.escape(title),
            page=page,
            script=names[f"{page}.js"],
            links="".join(f"<link {link}>\n" for link in _links(page, names)),
            data="".join(f' data-{key}="{html.escape(value)}"' for key, value in data.items()),
        )
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


def _links(page: str, names: dict[str, str]) -> list[str]:
    """What the page needs at once, and on the way to a lab what the lab will need: a prompt waits for its terminal."""
    fonts = [file for name, file in names.items() if name.endswith(("-Regular.woff2", "-Bold.woff2"))]
    found = [f'rel="icon" href="/static/{names["icon.svg"]}"'] if "icon.svg" in names else []
    if f"{page}.css" in names:
        found.append(f'rel="stylesheet" href="/static/{names[f"{page}.css"]}"')
    if page == "lab":
        found.append(f'rel="modulepreload" href="/static/{names["terminal.js"]}"')
        found += [f'rel="preload" as="font" type="font/woff2" crossorigin href="/static/{file}"' for file in fonts]
    elif page == "lessons":
        found += [f'rel="prefetch" href="/static/{file}"' for file in (names["lab.js"], names["terminal.js"], *fonts)]
    return found


BUNDLE = web.AppKey("bundle", Bundle)


def routes() -> list[web.RouteDef]:
    """The pages; static files are the application's."""
    return [web.get("/", lessons), web.get("/signin", signin), web.get(f"/sessions/{{id:{ID}}}", lab)]


async def signin(request: web.Request) -> web.Response:
    return request.app[BUNDLE].shell("signin", "Sign in · EduCenter")


async def lessons(request: web.Request) -> web.Response:
    await _user(request)
    return request.app[BUNDLE].shell("lessons", "My lessons · EduCenter")


async def lab(request: web.Request) -> web.Response:
    user = await _user(request)
    session = await request.app[keys.STORE].sessions.of_user(request.match_info["id"], user)
    if session is None:
        raise NotFound("There is no such lab")
    return request.app[BUNDLE].shell("lab", f"{session.lesson_title} · EduCenter", session=session.id)


async def _user(request: web.Request) -> int:
    try:
        return (await auth.signed_in(request)).id
    except auth.NotSignedIn as error:
        target = "/signin" if request.path == "/" else f"/signin?next={quote(request.path_qs, safe='')}"
        raise web.HTTPSeeOther(target) from error


def wants(request: web.Request) -> bool:
    """Whether an answer to this request is read by a person."""
    return not request.path.startswith(("/api/", "/ws/")) and "text/html" in request.headers.get("Accept", "")


def error_page(error: TerminalsError, status: int) -> web.Response:
    """An error for people: what, why, what now, and the code that ops can grep."""
    text = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<meta name=color-scheme content='light dark'><title>EduCenter</title>"
        "<style>body{font:18px/1.5 system-ui;max-width:36em;margin:15vh auto;padding:0 1.5em}code{opacity:.7}</style>"
        f"<h1>{'Try again in a moment' if status == 503 else 'That did not work'}</h1><p>{html.escape(error.message)}.</p>"
        f"<p><a href='/'>Back to my lessons</a></p><p><code>{html.escape(error.code)}</code></p></html>"
    )
    return web.Response(text=text, status=status, content_type="text/html")
