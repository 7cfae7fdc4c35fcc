"""Whereabouts: which member of a cluster has which container, as far as we know, and which members don't answer.

LXD takes 10 s to say that a member doesn't, to every call about each of its containers. So that these don't hold up whoever has
a container elsewhere, one call in a while finds out for all.
"""

import threading
import time
from collections import OrderedDict

from terminals.errors import Unavailable

KNOWN = 8_192
"""Containers; the longest unused are forgotten."""
SILENT_S = 15.0
"""Then one call tries again; longer than LXD takes to answer it."""
AWAY = "member_away"
"""The code of the error."""


class Whereabouts:
    """Of one LXD; used by many threads."""

    def __init__(self) -> None:
        self._at: OrderedDict[str, str] = OrderedDict()
        self._silent: dict[str, float] = {}
        """Member → when somebody may ask it again."""
        self._lock = threading.Lock()

    def learn(self, container: str, member: str, *, maybe: bool = False) -> None:
        """It is there; an empty member is no cluster's. `maybe`: if nobody said better."""
        if not member or member == "none" or (maybe and container in self._at):
            return
        with self._lock:
            self._at[container] = member
            self._at.move_to_end(container)
            while len(self._at) > KNOWN:
                self._at.popitem(last=False)

    def of(self, container: str) -> str:
        """Empty: nobody said."""
        return self._at.get(container, "")

    @property
    def silent(self) -> set[str]:
        """Members that don't answer."""
        with self._lock:
            return set(self._silent)

    def hush(self, member: str) -> None:
        """It doesn't answer."""
        if member:
            with self._lock:
                self._silent[member] = time.monotonic() + SILENT_S

    def heard(self, member: str) -> None:
        """It answers."""
        with self._lock:
            self._silent.pop(member, None)

    def check(self, container: str) -> None:
        """Before something is asked about a container.

        Raises:
            Unavailable: the member that has it doesn't answer, and somebody has tried of late.
        """
        member = self._at.get(container)
        if member is None:
            return
        with self._lock:
            until = self._silent.get(member)
            if until is None:
                return
            now = time.monotonic()
            if now >= until:
                self._silent[member] = now + SILENT_S  # ours is the call that tries
                return
        raise away(member)


def away(member: str) -> Unavailable:
    """What people are told."""
    which = f" ({member})" if member else ""
    return Unavailable(
        f"The machine that your lab is on{which} doesn't answer. Your lab is back as soon as it is; or end the lab and start it "
        "again: it starts on another machine, without your files",
        code=AWAY,
    )


def evacuated(member: str) -> Unavailable:
    """The same for one that an operator has taken out of service."""
    which = f" ({member})" if member else ""
    return Unavailable(
        f"The machine that your lab is on{which} was taken out of service. If the lab is moved to another one, it is back in a "
        "moment, its files with it; else it is back with the machine",
        code=AWAY,
    )
