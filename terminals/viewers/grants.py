"""Grants: who else may type into a terminal: asked for by who watches, answered by its student or the course, audited."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from terminals.errors import TerminalsError, Unavailable
from terminals.link.messages import Message
from terminals.person import Person
from terminals.store.audits import Assist
from terminals.store.database import new_id
from terminals.store.terminals import Watched

log = structlog.get_logger(__name__)

GONE_S = 10.0
"""Who was let in and isn't seen for so long, a reload's time, isn't let in any more."""
AWAY_S = 30.0
"""Nor is anybody while the student, who let them in, has been away for so long."""
AUDIT_S = 5.0
"""Bytes that were typed are audited so often."""
RETELL_S = 1.0
FINISH_S = 3.0
"""For the last account of all, at the end: a drain doesn't wait for a database that is away."""

PENDING, TYPING, REFUSED = "pending", "typing", "refused"


@dataclass(slots=True)
class Answer:
    """To one person's wish."""

    person: Person
    wish: int
    state: str = PENDING
    reason: str = ""
    asks: bool = False
    """The student is asked."""
    seen_at: float = field(default_factory=time.monotonic)
    told_at: float = 0.0
    last_seq: int = 0
    watched: Watched = field(init=False)
    """Once it was looked up: always before anything is allowed."""
    grant: str = ""
    began: float = 0.0
    """Unix seconds: of what wasn't audited yet."""
    bytes: int = 0
    audited_at: float = 0.0
    task: "asyncio.Task[None] | None" = None
    """What is being asked elsewhere before it is decided."""
    account: "asyncio.Task[None] | None" = None
    """The bytes that are being written down; those that come meanwhile wait for the next one."""


class Host(Protocol):
    """What grants need of their terminal."""

    def last_seq(self, writer: int, /) -> Awaitable[int]:
        """The last seq that the holder took of `writer`; raises Cut."""

    def answer(self, person: Person, wish: int, state: str, reason: str, last_seq: int) -> None:
        """Tells the person's page."""

    def changed(self) -> None:
        """Who asks or types has changed."""


Permit = Callable[[int], Awaitable[Watched | None]]
"""A user's id → what they may see of this terminal, and the course's policy."""
Audit = Callable[[Assist], Awaitable[None]]


class Grants:
    """Of one terminal, on its owner. `review` never waits: what must be asked elsewhere runs in tasks that `close` ends."""

    def __init__(self, permit: Permit, audit: Audit, host: Host) -> None:
        self._permit = permit
        self._audit = audit
        self._host = host
        self._answers: dict[str, Answer] = {}
        self._accounts: set[asyncio.Task[None]] = set()
        self._student_at = time.monotonic()

    def shown(self, people: Iterable[Person]) -> list[Message]:
        """Who watches, for the student: `{id, name, since, asks, types}` each."""
        found = []
        for person in people:
            answer = self._answers.get(person.id)
            asks, types = (answer.asks, answer.state == TYPING) if answer else (False, False)
            found.append({"id": person.id, "name": person.name, "since": person.since, "asks": asks, "types": types})
        return found

    def review(self, people: Iterable[Person], *, student: bool) -> None:
        """Follows what people want. `student`: one of the student's own pages is open."""
        now = time.monotonic()
        if student:
            self._student_at = now
        for person in people:
            self._follow(person, now)
        for answer in list(self._answers.values()):
            if now - answer.seen_at > GONE_S:
                self._forget(answer)
            elif answer.state == TYPING:
                if now - self._student_at > AWAY_S and answer.watched.assisting != "allow":
                    self._refuse(answer, "away")
                elif (
                    answer.bytes
                    and now - answer.audited_at > AUDIT_S
                    and (answer.account is None or answer.account.done())
                ):
                    self._account(answer)

    def decide(self, person: str, *, allow: bool) -> None:
        """The student's answer, also to who types already."""
        answer = self._answers.get(person)
        if answer is None or answer.state == REFUSED:
            return
        if not allow:
            self._refuse(answer, "refused" if answer.state == PENDING else "ended")
        elif answer.state == PENDING and answer.asks:
            self._start(answer, self._let_in(answer))

    def typed(self, writer: int, seq: int, size: int) -> bool:
        """Whether this input may go on to the holder; it is counted once, however often it is sent."""
        answer = next((each for each in self._answers.values() if each.person.writer == writer), None)
        if answer is None or answer.state != TYPING:
            return False
        if seq > answer.last_seq:
            answer.last_seq = seq
            if not answer.bytes:
                answer.began = time.time()
            answer.bytes += size
        return True

    async def close(self) -> None:
        """Nobody may type any more; what was typed is accounted for."""
        for answer in list(self._answers.values()):
            self._forget(answer)
        if self._accounts:
            _, late = await asyncio.wait(self._accounts, timeout=FINISH_S)
            for task in late:
                log.error("audit_lost")
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _follow(self, person: Person, now: float) -> None:
        answer = self._answers.get(person.id)
        if answer is None:
            if person.wants > 0:
                answer = self._answers[person.id] = Answer(person, person.wants)
                self._start(answer, self._look(answer))
            return
        if person.wants == 0 and answer.state != REFUSED:
            return  # a page that connected anew and hasn't said yet that it still wants to: `seen_at` runs out
        answer.person, answer.seen_at = person, now
        if person.wants <= 0:
            self._forget(answer)
        elif person.wants != answer.wish and answer.state == REFUSED:
            self._answers[person.id] = asked = Answer(person, person.wants)
            self._start(asked, self._look(asked))
        else:
            answer.wish = person.wants
            if answer.state != PENDING and (answer.state == TYPING) != person.types and now - answer.told_at > RETELL_S:
                self._tell(answer)

    async def _look(self, answer: Answer) -> None:
        """Whether they may at all, and who is to be asked."""
        watched = await self._permit(answer.person.user)
        if watched is None or watched.assisting == "off" or watched.claim.user == answer.person.user:
            self._refuse(answer, "off")
            return
        answer.watched = watched
        if watched.assisting == "allow":
            await self._let_in(answer)
        else:
            answer.asks = True
            log.info("assist_asked", terminal=watched.claim.terminal, who=answer.person.user)
            self._host.changed()

    async def _let_in(self, answer: Answer) -> None:
        """Audited first: what can't be accounted for isn't allowed."""
        answer.grant, answer.began = new_id(), time.time()
        await self._audit(self._assist(answer, answer.began, 0))
        answer.last_seq = await self._host.last_seq(answer.person.writer)
        answer.state, answer.asks, answer.audited_at = TYPING, False, time.monotonic()
        log.info("assist_begun", terminal=answer.watched.claim.terminal, who=answer.person.user)
        self._tell(answer)
        self._host.changed()

    def _start(self, answer: Answer, step: "Awaitable[None]") -> None:
        async def work() -> None:
            try:
                await step
            except TerminalsError as error:
                log.warning("assist_failed", code=error.code, reason=error.message)
                self._refuse(answer, "unavailable")

        former = answer.task
        if former is not None:
            former.cancel()
        answer.task = asyncio.create_task(work(), name="grant")

    def _refuse(self, answer: Answer, reason: str) -> None:
        """Also ends what was allowed."""
        self._end(answer)
        answer.reason = reason
        self._tell(answer)
        self._host.changed()

    def _forget(self, answer: Answer) -> None:
        self._end(answer)
        self._answers.pop(answer.person.id, None)
        self._host.changed()

    def _end(self, answer: Answer) -> None:
        if answer.task is not None and answer.task is not asyncio.current_task():
            answer.task.cancel()  # else it would let them in after all
        if answer.state == TYPING:
            log.info("assist_ended", who=answer.person.user)
            self._account(answer)
        answer.state, answer.asks = REFUSED, False

    def _tell(self, answer: Answer) -> None:
        answer.told_at = time.monotonic()
        self._host.answer(answer.person, answer.wish, answer.state, answer.reason, answer.last_seq)

    # -- the account -------------------------------------------------------------------------------------------------

    def _account(self, answer: Answer) -> None:
        entry = self._assist(answer, answer.began if answer.bytes else time.time(), answer.bytes)
        answer.bytes, answer.audited_at = 0, time.monotonic()
        task = answer.account = asyncio.create_task(self._write(entry), name="audit")
        self._accounts.add(task)
        task.add_done_callback(self._accounts.discard)

    async def _write(self, entry: Assist) -> None:
        """As long as the terminal is held: an account that is late is better than none."""
        while True:
            try:
                await self._audit(entry)
            except Unavailable as error:
                log.warning("audit_delayed", reason=error.message)
                await asyncio.sleep(AUDIT_S)
            else:
                return

    def _assist(self, answer: Answer, began: float, size: int) -> Assist:
        return Assist(answer.grant, answer.person.user, answer.person.name, answer.watched, began, time.time(), size)
