"""The API's part about a lab's container and the files in it: restart, reset, restore, download and upload."""

import asyncio
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from server import auth, keys
from server.api import own_session
from server.middlewares import HEADERS
from terminals.errors import Cut, Invalid, TerminalsError, TooLarge
from terminals.labs.homes import GZIP, UPLOADS
from terminals.store.database import ID

log = structlog.get_logger(__name__)

RESETS, FILES = 20, 200
"""Of one student within `auth.ATTEMPTS_WINDOW_S`: each costs a container, or an exec."""
STALL_S = 120
"""A browser that takes nothing for so long is gone: its archive holds up the next one."""
BUSY = "Your files are being downloaded already: one archive at a time"


def routes() -> list[web.RouteDef]:
    """Every call of this part."""
    return [
        web.post(f"/api/sessions/{{id:{ID}}}/restart", restart),
        web.post(f"/api/sessions/{{id:{ID}}}/reset", reset),
        web.post(f"/api/sessions/{{id:{ID}}}/restore", restore),
        web.get(f"/api/sessions/{{id:{ID}}}/home.tar.gz", download),
        web.put(f"/api/sessions/{{id:{ID}}}/files/{{name}}", upload),
    ]


async def restart(request: web.Request) -> web.Response:
    session = await own_session(request)
    await auth.ration(request, f"reset:{session.user_id}", RESETS)
    await request.app[keys.SESSIONS].restart(session.id)
    return web.json_response({})


async def reset(request: web.Request) -> web.Response:
    session = await own_session(request)
    await auth.ration(request, f"reset:{session.user_id}", RESETS)
    return _begun(await request.app[keys.SESSIONS].reset(session))


async def restore(request: web.Request) -> web.Response:
    session = await own_session(request)
    await auth.ration(request, f"reset:{session.user_id}", RESETS)
    return _begun(await request.app[keys.SESSIONS].restore(session))


async def download(request: web.Request) -> web.StreamResponse:
    session = await own_session(request)
    await auth.ration(request, f"file:{session.user_id}", FILES)
    async with auth.alone(request, f"download:{session.user_id}", BUSY):
        # A page asks first: what is wrong can be said then.
        if request.method == "HEAD" or "check" in request.query:
            await request.app[keys.HOMES].check(session)
            return web.json_response({})
        async with request.app[keys.HOMES].archive(session) as chunks:
            return await _send(request, f"{session.lesson_id}-home", chunks)


async def upload(request: web.Request) -> web.Response:
    session = await own_session(request)
    size, most = request.content_length or 0, request.app[keys.SETTINGS].upload_most
    if request.can_read_body and request.content_length is None:
        raise Invalid("Say how large the file is (Content-Length)", code="no_length")
    if size > most:
        raise TooLarge(f"A file may have at most {most / 1024 / 1024:g} MiB")
    await auth.ration(request, f"file:{session.user_id}", FILES)
    name = request.match_info["name"]
    try:
        stored = await request.app[keys.HOMES].bring(session, name, size, request.content.iter_any())
    except ConnectionError as error:
        raise Invalid("The browser went away before the file had come", code="incomplete") from error
    return web.json_response({"name": stored, "folder": UPLOADS}, status=201)


async def _send(request: web.Request, stem: str, chunks: AsyncIterator[bytes]) -> web.StreamResponse:
    """What fails before the first byte is an error like any other; after that the answer breaks off, and is seen to."""
    chunk = await anext(chunks, b"")
    kind, suffix = ("application/gzip", "tar.gz") if chunk.startswith(GZIP) else ("application/x-tar", "tar")
    named = {"Content-Disposition": f'attachment; filename="{stem}.{suffix}"', "Cache-Control": "no-store"}
    response = web.StreamResponse(headers={**HEADERS, **named})
    response.content_type = kind
    try:
        await response.prepare(request)
        while chunk:
            async with asyncio.timeout(STALL_S):
                await response.write(chunk)
            chunk = await anext(chunks, b"")
        await response.write_eof()
    except (TerminalsError, TimeoutError, ConnectionError) as error:
        log.info("download_cut", reason=error.message if isinstance(error, Cut) else type(error).__name__)
        # Without the last chunk's mark no browser takes it for whole.
        if request.transport is not None:
            request.transport.abort()
    return response


def _begun(session: str) -> web.Response:
    return web.json_response({"id": session}, status=202)
