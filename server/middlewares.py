"""Middlewares: the correlation id, the one place where errors become statuses, Origin, and the headers of every answer."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from redis.exceptions import RedisError

from server import keys, pages
from server.auth import BadCredentials, NotSignedIn, TooManyAttempts
from terminals.errors import Conflict, Ended, Invalid, NotFound, TerminalsError, TooLarge, Unavailable

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUSES: dict[type[TerminalsError], int] = {
    Invalid: 400,
    BadCredentials: 401,
    NotSignedIn: 401,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Ended: 410,
    TooManyAttempts: 429,
    Unavailable: 503,
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SECURE = {"Strict-Transport-Security": "max-age=31536000"}
"""Where PUBLIC_URL is https: browsers never ask by http again."""
HASHED = re.compile(r"-[A-Z0-9]{8}\.")
"""In the names of files that never change: static/build.mjs puts the hash of their content there."""


def _headers(request: web.Request, request_id: str) -> dict[str, str]:
    """Of every answer, whatever stands before us."""
    secure = SECURE if request.app[keys.SETTINGS].secure else {}
    return {**HEADERS, **secure, "X-Request-Id": request_id}


def status_of(error: TerminalsError) -> int:
    """502 for what LXD or a container said; 500 for what nobody foresaw."""
    if error.code == "internal":
        return 500
    return next((code for kind, code in STATUSES.items() if isinstance(error, kind)), 502)


def _answer(request: web.Request, error: TerminalsError) -> web.Response:
    return pages.error_page(request, error, status_of(error)) if pages.wants(request) else error_response(error)


def error_response(error: TerminalsError) -> web.Response:
    """The JSON of an error, with its status."""
    status = status_of(error)
    headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooManyAttempts) else {}
    return web.json_response({"error": {"code": error.code, "message": error.message}}, status=status, headers=headers)


@web.middleware
async def correlate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Binds the request's id to every log line on its way, down to the calls to LXD; logs one line for each request."""
    given = request.headers.get("X-Request-Id", "")
    request_id = given if given.isascii() and given.isalnum() and len(given) <= 64 else uuid.uuid4().hex
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request=request_id)
    began, status = time.monotonic(), 500
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "unknown"
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as error:
        status = error.status
        error.headers.update(_headers(request, request_id))
        raise
    finally:
        seconds = time.monotonic() - began
        metrics = request.app[keys.METRICS]
        metrics.requests.labels(request.method, route, str(status)).inc()
        if status != 101:
            metrics.seconds.labels(route).observe(seconds)
        quiet = route in ("/healthz", "/readyz", "/metrics") or route.startswith("/static")
        (log.debug if quiet else log.info)(
            "request_answered", method=request.method, route=route, status=status, ms=round(seconds * 1000)
        )
    if not response.prepared:
        response.headers.update(_headers(request, request_id))
        if route.startswith("/static"):
            hashed = HASHED.search(request.path) is not None
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
            response.headers["Vary"] = "Accept-Encoding"
    return response


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns the core's errors into answers; what nobody foresaw is a 500 with an id that the log has too."""
    try:
        return await handler(request)
    except TerminalsError as error:
        return _answer(request, error)
    except (RedisError, ConnectionError) as error:
        if isinstance(error, ConnectionResetError):
            raise
        log.warning("redis_away", reason=str(error))
        return _answer(request, Unavailable("Redis doesn't answer. Open terminals go on; try again in a moment"))
    except web.HTTPException as error:
        if error.status == 404 and pages.wants(request):
            return pages.error_page(request, TerminalsError("There is no such page", code="not_found"), error.status)
        if error.status >= 400 and request.path.startswith("/api/"):
            code = {404: "not_found", 405: "wrong_method", 413: "too_big"}.get(error.status, "http")
            return web.json_response({"error": {"code": code, "message": error.reason}}, status=error.status)
        raise
    except Exception:
        log.exception("request_failed")
        request_id = structlog.contextvars.get_contextvars().get("request", "")
        message = f"Something went wrong here. Tell your teacher this code: {request_id[:8]}"
        return _answer(request, TerminalsError(message, code="internal"))


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Writes come from our own pages, or from clients that aren't browsers; bodies are JSON, but for files that are PUT.

    A browser never sends a PUT for another site without asking first.
    """
    if request.method in ("POST", "PUT", "PATCH", "DELETE"):
        origin = request.headers.get("Origin")
        if origin is not None and origin not in request.app[keys.SETTINGS].origins:
            log.warning("origin_refused", origin=origin[:200])
            return web.json_response(
                {"error": {"code": "bad_origin", "message": "This request came from another site"}}, status=403
            )
        if request.method != "PUT" and request.can_read_body and request.content_type != "application/json":
            return web.json_response({"error": {"code": "not_json", "message": "Send application/json"}}, status=415)
    return await handler(request)
