"""Acts: what an instructor may do to a student's lab from the course's page. Each is written down, before or while it is done."""

import structlog

from terminals.errors import Conflict, Invalid, NotFound
from terminals.school.classroom import Classroom
from terminals.school.keeping import Keeping
from terminals.school.sessions import Sessions
from terminals.store import Store
from terminals.store.acts import Act
from terminals.store.sessions import Session

log = structlog.get_logger(__name__)

KINDS = ("extend", "restart", "reset", "end")


class Acts:
    """The verbs, and their account."""

    def __init__(self, store: Store, classroom: Classroom, sessions: Sessions, keeping: Keeping) -> None:
        self._store = store
        self._classroom = classroom
        self._sessions = sessions
        self._keeping = keeping

    async def do(self, user: int, course: str, session: str, act: str) -> None:
        """`act` (`KINDS`) by an instructor of the course, to a lab of one of its students.

        Raises:
            NotFound: there is no such running lab in the course, or `user` doesn't teach it: nobody is told which.
            Invalid: there is no such act.
            Conflict: it isn't live, or can't be extended any further.
        """
        if act not in KINDS:
            raise Invalid(f"Send {{act}}: one of {', '.join(KINDS)}")
        found = await self._classroom.course(course, user)
        target = await self._store.sessions.in_course(session, found.id)
        if target is None:
            raise NotFound("There is no such lab in this course, or it has ended")
        if act != "end" and target.state != "live":
            raise Conflict("This lab is still starting", code="not_live")
        if act == "extend":
            await self._keeping.extend(session, user)
        else:
            await self._store.acts.add(user, session, act)
            await self._apply(target, act)
        log.info("act_done", session=session, user=user, act=act, whom=target.user_id)

    async def of_course(self, course: str, user: int) -> list[Act]:
        """What was done in the course, the newest first, for one of its instructors.

        Raises:
            NotFound: as `do`.
        """
        return await self._store.acts.of_course((await self._classroom.course(course, user)).id)

    async def _apply(self, session: Session, act: str) -> None:
        match act:
            case "restart":
                await self._sessions.restart(session.id)
            case "reset":
                await self._sessions.reset(session)
            case _:
                await self._sessions.end(session.id)
