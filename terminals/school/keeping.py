"""Keeping: how long a lab is kept, for those who may know and who may extend it. Who puts labs to rest is `keeper`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from terminals.errors import Conflict
from terminals.store import Store
from terminals.store.lives import Life, Patience

log = structlog.get_logger(__name__)

NEXT = {"awake": "asleep", "asleep": "stopped", "stopped": "ended"}
"""What comes of a rest when nobody uses the lab."""
AT_MOST = "This lab can't be extended any further: it ends in {minutes} min. Keep elsewhere what you want to keep"

Now = Callable[[], datetime]
"""With its zone: tests let days pass."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Of a live session, in whole seconds from now."""

    rest: str
    seconds_left: int
    """Until it is ended."""
    extendable_to: int
    """The most that could be left."""
    idle_seconds: int
    """Until, if nobody uses it, it is `then`."""
    then: str


class Keeping:
    """Reads, and extends."""

    def __init__(self, store: Store, patience: Patience, now: Now) -> None:
        self._store = store
        self._patience = patience
        self._now = now

    async def of_session(self, session: str) -> Lifetime | None:
        """None: it isn't live."""
        now = self._now()
        life = await self._store.lives.of_session(session, now, self._patience)
        return _lifetime(life, now) if life else None

    async def of_course(self, course: str) -> dict[str, Lifetime]:
        """Of all its live sessions, by id."""
        now = self._now()
        lives = await self._store.lives.of_course(course, now, self._patience)
        return {session: _lifetime(life, now) for session, life in lives.items()}

    async def stay(self, session: str) -> Lifetime:
        """Its student is still there.

        Raises:
            Conflict: it isn't live.
        """
        await self._store.lives.use([session], self._now())
        return await self._live(session)

    async def extend(self, session: str, instructor: int | None = None) -> Lifetime:
        """By its student, who is there then, or by an instructor, which is written down in the same moment.

        Raises:
            Conflict: it isn't live, or can't be extended any further (`at_maximum`).
        """
        await self.stay(session)
        extended = await self._store.lives.extend(session, self._now(), self._patience, instructor)
        kept = await self._live(session)
        if not extended:
            raise Conflict(AT_MOST.format(minutes=kept.seconds_left // 60), code="at_maximum")
        log.info("session_extended", session=session, seconds_left=kept.seconds_left, instructor=instructor)
        return kept

    async def _live(self, session: str) -> Lifetime:
        kept = await self.of_session(session)
        if kept is None:
            raise Conflict("This lab isn't running", code="not_live")
        return kept


def _lifetime(life: Life, now: datetime) -> Lifetime:
    def left(moment: datetime) -> int:
        return max(0, round((moment - now).total_seconds()))

    return Lifetime(life.rest, left(life.deadline), left(life.longest), left(life.idle_at), NEXT[life.rest])
