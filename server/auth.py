"""Auth: who is signed in. E-mail and password, aiohttp-session on Redis; deny by default."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import web
from aiohttp_session import Session, get_session, new_session
from aiohttp_session.redis_storage import RedisStorage
from redis.asyncio import Redis
from redis.exceptions import RedisError

from server import keys
from server.passwords import LONGEST as LONGEST_PASSWORD
from server.settings import Settings
from terminals.errors import Conflict, Ended, Invalid, TerminalsError, Unavailable
from terminals.store.users import User

log = structlog.get_logger(__name__)

LONGEST_S = 24 * 3600
"""A sign-in ends after so long, however often it was renewed."""
IDLE_S = 2 * 3600
"""A sign-in that no page renews ends after so long; open pages renew it every 10 minutes."""
ATTEMPTS = 10
"""Failed sign-ins for one address from one client within the window; five times as many from one client in all."""
ATTEMPTS_WINDOW_S = 300
ALONE_S = 20


class NotSignedIn(TerminalsError):
    """No sign-in, or it ended."""

    code = "not_signed_in"


class BadCredentials(TerminalsError):
    """Unknown address or wrong password: which of them isn't told."""

    code = "bad_credentials"


class TooManyAttempts(TerminalsError):
    """Wait."""

    code = "too_many_attempts"

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


def cookie_name(settings: Settings) -> str:
    """The `__Host-` prefix binds the cookie to this host and to https."""
    return "__Host-educenter" if settings.secure else "educenter"


def storage(settings: Settings, redis: Redis) -> RedisStorage:
    """Where aiohttp-session keeps sign-ins. Lax, because Strict breaks links that invite."""
    return RedisStorage(
        redis,
        cookie_name=cookie_name(settings),
        max_age=IDLE_S,
        httponly=True,
        secure=settings.secure,
        samesite="Lax",
        path="/",
    )


async def sign_in(request: web.Request, email: str, password: str) -> User:
    """Checks the password and begins a sign-in under a new id; the old id is void from here on.

    Raises:
        BadCredentials, TooManyAttempts, Unavailable.
    """
    app = request.app
    if not email or not password or len(email) > 254 or len(password) > LONGEST_PASSWORD:
        raise Invalid("Say your e-mail address and your password", code="bad_credentials")
    for name, limit in _counters(request, email).items():
        await ration(request, name, limit)
    user = await app[keys.STORE].users.by_email(email)
    matches = await app[keys.PASSWORDS].matches(user.password_hash if user else None, password)
    if user is None or not matches or (user.demo and not app[keys.SETTINGS].demo):
        log.info("sign_in_failed")
        raise BadCredentials("E-mail address or password is wrong")
    if app[keys.PASSWORDS].outdated(user.password_hash):
        await app[keys.STORE].users.rehash(user.id, await app[keys.PASSWORDS].hash(password))
    await forget(request)
    session = await _session(request)
    session["user"] = user.id
    session["began"] = time.time()
    await _forgive(request, email)
    log.info("signed_in", user=user.id)
    return user


async def set_password(request: web.Request, token: str, password: str) -> None:
    """By an administrator's link; ends every sign-in of that user and closes their sockets.

    Raises:
        Ended: the link was used, is too old, or was never ours.
        Invalid: the password can't be one. TooManyAttempts, Unavailable.
    """
    app = request.app
    links, users = app[keys.LINKS], app[keys.STORE].users
    whose = links.whose(token)
    user = await users.by_id(whose) if whose is not None else None
    if user is None or not links.valid(token, user):
        # Only these: a whole class sets its passwords from one address within minutes.
        await ration(request, f"link:{client(request)}", ATTEMPTS * 5)
        raise _spent()
    if not await users.change_password(user, await app[keys.PASSWORDS].hash(password)):
        raise _spent()
    await app[keys.BUS].notify("revoked", str(user.id))
    log.info("password_set", user=user.id)


async def sign_out_everywhere(request: web.Request) -> None:
    """Voids every sign-in and ticket of the request's user and closes their sockets."""
    user = await signed_in(request)
    await request.app[keys.STORE].users.revoke(user.email)
    await request.app[keys.BUS].notify("revoked", str(user.id))
    log.info("signed_out_everywhere", user=user.id)


async def forget(request: web.Request) -> None:
    """Deletes the request's sign-in from Redis: aiohttp-session would leave the old id valid."""
    session = await _session(request)
    if session.identity is not None:
        try:
            await request.app[keys.REDIS].delete(f"{cookie_name(request.app[keys.SETTINGS])}_{session.identity}")
        except RedisError as error:
            raise _redis_away() from error
    # An unchanged new session isn't saved: nothing is left in Redis.
    await new_session(request)


async def signed_in(request: web.Request) -> User:
    """The user of the request.

    Raises:
        NotSignedIn; Unavailable: the sign-in store or the database doesn't answer.
    """
    session = await _session(request)
    user = await _user(request.app, session.get("user"), session.get("began"))
    structlog.contextvars.bind_contextvars(user=user.id)
    return user


async def renew(request: web.Request) -> None:
    """Gives the sign-in its full idle time again."""
    # Writing sets the session's own clock too; `changed()` alone would let it expire 2 h after sign-in.
    (await _session(request))["renewed"] = time.time()


async def _user(app: web.Application, user: Any, began: Any) -> User:
    if not isinstance(user, int) or not isinstance(began, float) or time.time() - began > LONGEST_S:
        raise NotSignedIn("Sign in first")
    found = await app[keys.STORE].users.by_id(user)
    if found is None or revoked(found, began):
        raise NotSignedIn("Your sign-in has ended: sign in again")
    return found


def revoked(user: User, began: float) -> bool:
    """Whether a sign-in or ticket made at `began` (unix seconds) is void.

    One that is older than its user is somebody else's: of a user whom a restored database doesn't know, and whose number is
    another one's now.
    """
    made = datetime.fromtimestamp(began, UTC)
    if made <= user.created_at:
        return True
    return user.revoked_before.year >= 2000 and made <= user.revoked_before


def client(request: web.Request) -> str:
    """The client's address: the one that our own proxy saw, where there is one."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    if request.app[keys.SETTINGS].trust_forwarded and forwarded:
        # The last hop is what our proxy wrote; what stands before it is the client's own say.
        return forwarded.rsplit(",", 1)[-1].strip()[:64]
    return request.remote or "unknown"


async def _session(request: web.Request) -> Session:
    try:
        return await get_session(request)
    except (RedisError, OSError) as error:
        raise _redis_away() from error


def _counters(request: web.Request, email: str) -> dict[str, int]:
    """Name → attempts allowed: for this address from this client, for the address, for the client."""
    address, origin = email.strip().lower(), client(request)
    return {
        f"pair:{address}:{origin}": ATTEMPTS,
        f"email:{address}": ATTEMPTS * 10,
        f"client:{origin}": ATTEMPTS * 5,
    }


async def ration(request: web.Request, name: str, limit: int) -> None:
    """Counts an attempt under `name`.

    Raises:
        TooManyAttempts: more than `limit` within `ATTEMPTS_WINDOW_S`.
        Unavailable: Redis doesn't answer.
    """
    key = f"attempts:{name}"
    try:
        async with request.app[keys.REDIS].pipeline(transaction=True) as pipe:
            pipe.execute_command("INCR", key)
            pipe.execute_command("EXPIRE", key, ATTEMPTS_WINDOW_S, "NX")
            pipe.execute_command("TTL", key)
            count, _, seconds = await pipe.execute()
    except (RedisError, OSError) as error:
        raise _redis_away() from error
    if count > limit:
        raise TooManyAttempts(f"Too many attempts. Try again in {seconds} seconds", seconds)


@asynccontextmanager
async def alone(request: web.Request, name: str, busy: str) -> AsyncIterator[None]:
    """One at a time under `name`, on all instances together. An instance that dies over it gives it back after `ALONE_S`.

    Raises:
        Conflict: somebody is at it; `busy` says so.
        Unavailable: Redis doesn't answer.
    """
    redis, key, mine = request.app[keys.REDIS], f"alone:{name}", secrets.token_hex(8)
    try:
        taken = await redis.set(key, mine, nx=True, ex=ALONE_S)
    except (RedisError, OSError) as error:
        raise _redis_away() from error
    if not taken:
        raise Conflict(busy, code="busy")
    keeping = asyncio.create_task(_keep(redis, key), name="alone-keeper")
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        with contextlib.suppress(RedisError, OSError):  # then it goes by itself
            if await redis.get(key) == mine.encode():
                await redis.delete(key)


async def _keep(redis: Redis, key: str) -> None:
    while True:
        await asyncio.sleep(ALONE_S / 4)
        with contextlib.suppress(RedisError, OSError):  # the next turn comes before it goes
            await redis.expire(key, ALONE_S)


async def _forgive(request: web.Request, email: str) -> None:
    """Who knows the password isn't guessing it; but one account is no licence to guess others from the same client."""
    redis = request.app[keys.REDIS]
    pair, address, origin = (f"attempts:{name}" for name in _counters(request, email))
    try:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.execute_command("DEL", pair, address)
            pipe.execute_command("DECR", origin)
            count = (await pipe.execute())[-1]
        if count <= 0:
            await redis.delete(origin)
    except (RedisError, OSError) as error:
        raise _redis_away() from error


def _spent() -> Ended:
    return Ended("This link was used already, or is too old. Ask whoever sent it for a new one", code="link_spent")


def _redis_away() -> Unavailable:
    return Unavailable(
        "Sign-in is unavailable for a moment (Redis doesn't answer). Open terminals go on; try again shortly"
    )
