"""Classroom: what an instructor may know of a course's sessions while they run."""

import time
from dataclasses import dataclass

import structlog

from terminals.errors import Invalid, NotFound
from terminals.fleet.presence import Facts, Presence
from terminals.school.keeping import Keeping, Lifetime
from terminals.store import Store
from terminals.store.audits import Account
from terminals.store.courses import Course
from terminals.store.hands import Hand
from terminals.store.sessions import Running
from terminals.store.terminals import Titled, Watched

log = structlog.get_logger(__name__)

RULES = {"watching": ("off", "notice"), "assisting": ("off", "ask", "allow")}
"""What a course may say of its instructors in students' terminals."""
UNKNOWN = "There is no such course, or you don't teach it"


@dataclass(frozen=True, slots=True)
class Seat:
    """One running session with its terminals; `facts`, `state` and `quiet` as `Facts` has them."""

    session: Running
    kept: Lifetime | None
    """None: it hasn't started yet."""
    terminals: list[tuple[Titled, Facts | None, str, int | None]]


class Classroom:
    """Reads, and changes nothing but a course's rules."""

    def __init__(self, store: Store, presence: Presence, keeping: Keeping) -> None:
        self._store = store
        self._presence = presence
        self._keeping = keeping

    async def course(self, course: str, user: int) -> Course:
        """The course, for one of its instructors.

        Raises:
            NotFound: there is none, or `user` doesn't teach it: nobody else is told which.
        """
        found = await self._store.courses.of_instructor(course, user)
        if found is None:
            raise NotFound(UNKNOWN)
        return found

    async def rule(self, course: str, user: int, wanted: dict[str, object]) -> Course:
        """Changes rules (`RULES`) of the course, for one of its instructors; the course as it is then.

        Raises:
            NotFound: as `course`.
            Invalid: no such rule, or no such value of it.
        """
        if not wanted or any(value not in RULES.get(name, ()) for name, value in wanted.items()):
            known = "; ".join(f"{name}: {', '.join(values)}" for name, values in RULES.items())
            raise Invalid(f"The rules are {known}")
        found = await self.course(course, user)
        changed = {**found.rules, **{name: str(value) for name, value in wanted.items()}}
        await self._store.courses.rule(found.id, **changed)
        log.info("rules_changed", course=course, user=user, **wanted)
        return await self.course(course, user)

    async def audits(self, course: str, user: int) -> list[Account]:
        """Who typed for whom in the course, the newest first, for one of its instructors.

        Raises:
            NotFound: as `course`.
        """
        return await self._store.audits.of_course((await self.course(course, user)).id)

    async def watched(self, terminal: str, user: int) -> Watched:
        """A live terminal that `user` may watch.

        Raises:
            NotFound: there is none, or it isn't theirs to see: nobody is told which.
        """
        found = await self._store.terminals.watched(terminal, user)
        if found is None:
            raise NotFound("There is no such terminal, or it isn't open any more")
        return found

    async def live(self, course: str, user: int) -> tuple[Course, list[Seat], list[Hand]]:
        """Everybody of the course who is in a lab now, by name; and the raised hands, the oldest first.

        Raises:
            NotFound: as `course`.
            Unavailable: PostgreSQL or Redis doesn't answer.
        """
        found = await self.course(course, user)
        running = await self._store.sessions.running_in(course)
        terminals = await self._store.terminals.running_in(course)
        hands = await self._store.hands.of_course(course)
        kept = await self._keeping.of_course(course)
        facts = await self._presence.of([terminal.id for terminal in terminals])
        now = time.time()
        seats = {session.id: Seat(session, kept.get(session.id), []) for session in running}
        for terminal in terminals:
            known = facts.get(terminal.id)
            seat = seats.get(terminal.session_id)
            if seat is not None:
                state = known.state(now) if known else "away"
                seat.terminals.append((terminal, known, state, known.quiet(now) if known else None))
        return found, list(seats.values()), hands
