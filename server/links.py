"""Links: an address with which one person sets a password, once. An administrator makes it and sends it. Pure."""

import time
from typing import Any

from server.seal import Seal, claimed
from terminals.store.users import User

LIFETIME_S = 3 * 24 * 3600


class Links:
    """Those of this deployment. What they permit stands behind `#`, which browsers send to no server and no log."""

    def __init__(self, secret_key: str, public_url: str) -> None:
        self._seal = Seal(secret_key, "educenter password link")
        self._public_url = public_url

    def make(self, user: User) -> str:
        """The whole address. Void once the password is another: it was used, or somebody else was quicker."""
        return f"{self._public_url}/password#{self._seal.sign([user.id, int(time.time()), user.email], user.password_hash)}"

    def whose(self, token: str) -> int | None:
        """The id of the user that it claims to be for; whether it is true `valid` says."""
        parts = claimed(token)
        return parts[0] if _meant(parts) else None

    def valid(self, token: str, user: User) -> bool:
        """Whether it is ours, for this user, not used and not expired."""
        parts = self._seal.read(token, user.password_hash)
        return parts is not None and _meant(parts) and parts[0] == user.id and 0 <= time.time() - parts[1] < LIFETIME_S


def _meant(parts: list[Any]) -> bool:
    return len(parts) == 3 and all(isinstance(part, int) for part in parts[:2])
