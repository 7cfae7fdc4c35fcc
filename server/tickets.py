"""Tickets: a signed permission to re-attach to one terminal while the sign-in store is away. Pure."""

import time
from dataclasses import dataclass

from server.seal import Seal

LIFETIME_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who may come back to what, made when (unix seconds)."""

    user: int
    terminal: str
    made: int


class Tickets:
    """Those of this deployment."""

    def __init__(self, secret_key: str) -> None:
        self._seal = Seal(secret_key, "educenter resume ticket")

    def sign(self, user: int, terminal: str) -> str:
        return self._seal.sign([user, terminal, int(time.time())])

    def read(self, ticket: str) -> Ticket | None:
        """The ticket, if it is ours and not expired."""
        parts = self._seal.read(ticket)
        try:
            found = Ticket(*parts) if parts is not None else None
            return found if found is not None and 0 <= time.time() - found.made < LIFETIME_S else None
        except TypeError:
            return None
