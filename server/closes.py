"""Closes: which close code an error means (docs/protocol.md)."""

from server import auth
from server.peer import Peer
from terminals.errors import (
    Conflict,
    Cut,
    Ended,
    Forbidden,
    Invalid,
    Lost,
    NotFound,
    Taken,
    TerminalsError,
    Unavailable,
)
from terminals.link.frames import BadFrame

BAD_FRAME, STUCK, INTERNAL, UNKNOWN, AGAIN = 4400, 1008, 1011, 4404, 4503
BY_KIND: dict[type[Exception], int] = {
    BadFrame: BAD_FRAME,
    Invalid: BAD_FRAME,
    auth.NotSignedIn: 4401,
    Forbidden: 4401,
    NotFound: UNKNOWN,
    Lost: UNKNOWN,
    Ended: 4408,
    Taken: 4409,
    Conflict: 4429,
    Cut: AGAIN,
    Unavailable: AGAIN,
}
BY_CODE = {"draining": 1012, "released": 1012, "stuck": STUCK, "internal": INTERNAL}
BROKEN = "Something went wrong here; connect again"


async def close(browser: Peer, reason: Exception) -> None:
    """Closes with the code that the error means."""
    text = reason.message if isinstance(reason, TerminalsError) else str(reason)
    code = BY_CODE.get(getattr(reason, "code", ""), 0)
    await browser.close(code or next((code for kind, code in BY_KIND.items() if isinstance(reason, kind)), AGAIN), text)
