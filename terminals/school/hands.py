"""Hands: a student asks for somebody, one instructor comes. Who sees which are raised is in `classroom`."""

import structlog

from terminals.errors import Conflict, NotFound
from terminals.store import Store
from terminals.store.hands import Hand
from terminals.store.sessions import Session

log = structlog.get_logger(__name__)


class Hands:
    """The verbs of a hand."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put_up(self, session: Session, terminal: str | None) -> Hand | None:
        """The session's raised hand, a new one or the one that is up; `terminal`: the tab in front.

        None: it was answered, or the session ended, in this very moment.

        Raises:
            Conflict: the session isn't live.
            NotFound: the session has no such terminal.
        """
        if session.state != "live":
            raise Conflict("This lab isn't running", code="not_live")
        terminals = await self._store.terminals.of_session(session.id)
        if terminal is not None and terminal not in {each.id for each in terminals}:
            raise NotFound("This lab has no such terminal")
        if await self._store.hands.add(session.id, terminal):
            log.info("hand_raised", session=session.id, course=session.course_id)
        return await self._store.hands.of_session(session.id, session.course_id)

    async def lower(self, session: Session) -> None:
        """By its student. Idempotent."""
        if await self._store.hands.lower(session.id, session.user_id):
            log.info("hand_lowered", session=session.id)

    async def claim(self, hand: str, user: int) -> None:
        """`user` comes. Idempotent.

        Raises:
            NotFound: it isn't up, or `user` doesn't teach its course: nobody is told which.
            Conflict: another instructor comes.
        """
        if await self._store.hands.claim(hand, user):
            log.info("hand_claimed", hand=hand, user=user)
            return
        name = await self._store.hands.claimer(hand, user)
        if name is None:
            raise NotFound("There is no such hand, or it is down already")
        raise Conflict(f"{name} has claimed this hand already", code="claimed")

    async def resolve(self, hand: str, user: int) -> None:
        """The student has been helped. Idempotent.

        Raises:
            NotFound: there is none, or `user` doesn't teach its course: nobody is told which.
        """
        if not await self._store.hands.resolve(hand, user):
            raise NotFound("There is no such hand")
        log.info("hand_resolved", hand=hand, user=user)
