"""Audience: who looks at somebody else's terminal, who of them may type, and what the student is told of it."""

from collections.abc import Awaitable, Callable

from terminals.link import messages
from terminals.link.messages import Message
from terminals.person import Person
from terminals.viewers.grants import TYPING, Grants
from terminals.viewers.sinks import Sinks
from terminals.viewers.viewer import Viewer


class Audience:
    """Of one terminal, here and on other instances. `grants` is there where the terminal is owned: only its owner decides."""

    def __init__(self, student: int, sinks: Sinks, last_seq: Callable[[int], Awaitable[int]]) -> None:
        self._student = student
        self._sinks = sinks
        self._last_seq = last_seq
        self.grants: Grants | None = None
        self._moved: list[Person] = []
        """Whom the owner, elsewhere, was told of."""
        self._told: list[Message] = []

    @property
    def own(self) -> list[Viewer]:
        """The student's own pages."""
        return [viewer for viewer in self._sinks.viewers if viewer.user == self._student]

    @property
    def others(self) -> list[Viewer]:
        """Who looks from here at somebody else's terminal."""
        return [viewer for viewer in self._sinks.viewers if viewer.user != self._student]

    def people(self) -> list[Person]:
        """All who look at somebody else's terminal."""
        here = [viewer.person() for viewer in self.others]
        return here + (self._sinks.relay.people if self._sinks.relay else [])

    def moved(self) -> bool:
        """Whether the owner, elsewhere, must hear who watches from here now."""
        people = self.people()
        former, self._moved = self._moved, people
        return people != former

    def review(self) -> None:
        """The student's pages always know who watches, who asks to type and who types."""
        if self.grants is not None:
            self.grants.review(self.people(), student=bool(self.own))
        self.changed()

    def changed(self) -> None:
        """Tells the student's pages, where there is news."""
        shown = self.grants.shown(self.people()) if self.grants else []
        if shown == self._told:
            return
        self._told = shown
        for viewer in self.own:
            viewer.tell(messages.watchers(shown))

    def welcome(self, viewer: Viewer) -> None:
        """A page of the student's is told at once."""
        if self._told and viewer.user == self._student:
            viewer.tell(messages.watchers(self._told))

    # -- to type -----------------------------------------------------------------------------------------------------

    def wish(self, viewer: Viewer, *, to_type: bool) -> bool:
        """Who watches wants to type, or doesn't any more. Whether that is theirs to say."""
        if viewer not in self.others:
            return False
        viewer.wish(to_type=to_type)
        return True

    def decide(self, viewer: Viewer, person: str, *, allow: bool) -> None:
        """The student lets somebody type, or doesn't, or not any more."""
        if viewer.user == self._student and self.grants is not None:
            self.grants.decide(person, allow=allow)

    def last_seq(self, writer: int, /) -> Awaitable[int]:
        """Of a writer, as the holder has it; raises Cut."""
        return self._last_seq(writer)

    def may_type(self, writer: int, seq: int, size: int) -> bool:
        """Whether this input of somebody else may go to the holder; it is accounted for."""
        return self.grants is not None and self.grants.typed(writer, seq, size)

    def answer(self, person: Person, wish: int, state: str, reason: str, last_seq: int) -> None:
        """What became of a wish: to the page of who had it, here or on another instance."""
        if not person.instance:
            self.answered(person.id, wish, state, reason, last_seq)
        elif self._sinks.relay is not None:
            self._sinks.relay.answer(person, wish, state, reason, last_seq)

    def answered(self, person: str, wish: int, state: str, reason: str, last_seq: int) -> None:
        """The owner's answer to a wish of one of our viewers."""
        for viewer in self.others:
            if viewer.id == person and viewer.wants == wish:
                viewer.let_type(allowed=state == TYPING, reason=reason, last_seq=last_seq)
