"""Tickets: a signed permission to re-attach to one terminal while the sign-in store is away. Pure."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass

LIFETIME_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who may come back to what, made when (unix seconds)."""

    user: int
    terminal: str
    made: int


class Tickets:
    """Signs with a key derived from SECRET_KEY."""

    def __init__(self, secret_key: str) -> None:
        self._key = hmac.digest(secret_key.encode(), b"educenter resume ticket", "sha256")

    def sign(self, user: int, terminal: str) -> str:
        body = json.dumps([user, terminal, int(time.time())], separators=(",", ":")).encode()
        return _text(body) + "." + _text(self._mac(body))

    def read(self, ticket: str) -> Ticket | None:
        """The ticket, if it is ours and not expired."""
        try:
            body, mac = (_bytes(part) for part in ticket.split("."))
            if not hmac.compare_digest(mac, self._mac(body)):
                return None
            found = Ticket(*json.loads(body))
        except (ValueError, TypeError):
            return None
        return found if 0 <= time.time() - found.made < LIFETIME_S else None

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
