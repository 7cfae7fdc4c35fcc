"""The WebSocket's door (docs/protocol.md): which Origins may come, and how it ends. The rest is in connection."""

import re

import structlog
from aiohttp import web

from server import keys
from server.browser import Browser
from server.closes import BROKEN, close
from server.connection import Connection
from server.peer import GONE
from terminals.errors import TerminalsError, Unavailable
from terminals.link.frames import BadFrame
from terminals.store.database import ID

log = structlog.get_logger(__name__)


async def terminal_socket(request: web.Request) -> web.StreamResponse:
    """`GET /ws/terminals/{id}`."""
    if request.headers.get("Origin") not in request.app[keys.SETTINGS].origins:
        log.warning("origin_refused", origin=request.headers.get("Origin", "")[:200])
        raise web.HTTPForbidden(text="This page may not open terminals here: its Origin isn't on the list")
    browser = Browser(request)
    await browser.open()
    # What can't be an id is nobody's terminal; it is told so like every other unknown one.
    name = request.match_info["id"] if re.fullmatch(ID, request.match_info["id"]) else "unknown"
    structlog.contextvars.bind_contextvars(terminal=name)
    connection = Connection(request, browser, name)
    try:
        await connection.serve()
    except (BadFrame, TerminalsError) as error:
        await close(browser, error)
    except GONE:
        # The browser went away while something was sent to it: the usual end of a socket.
        browser.abort()
    except Exception:
        log.exception("socket_failed")
        await close(browser, Unavailable(BROKEN, code="internal"))
    finally:
        connection.left()
    return browser.response
