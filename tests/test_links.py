import dataclasses
import time
from datetime import UTC, datetime

import pytest

from server.links import LIFETIME_S, Links
from terminals.store.users import User

NEVER = datetime.min.replace(tzinfo=UTC)
ADA = User(7, "ada@example.test", "Ada", "$argon2id$one", False, False, NEVER, NEVER)
LINKS = Links("k" * 32, "https://labs.example.org")


def token(link: str) -> str:
    address, _, found = link.partition("#")
    assert address == "https://labs.example.org/password"
    return found


def test_a_link_is_good_for_its_user_until_the_password_is_another() -> None:
    made = token(LINKS.make(ADA))
    assert LINKS.whose(made) == 7
    assert LINKS.valid(made, ADA)
    assert not LINKS.valid(made, dataclasses.replace(ADA, password_hash="$argon2id$two"))
    assert not LINKS.valid(made, dataclasses.replace(ADA, id=8))


def test_another_key_a_ticket_and_a_changed_link_are_refused() -> None:
    made = token(LINKS.make(ADA))
    assert not Links("x" * 32, "https://labs.example.org").valid(made, ADA)
    assert not LINKS.valid("A" + made[1:], ADA)


@pytest.mark.parametrize("text", ["", ".", "W10.AAAA", "e30.AAAA", "WzEsMiwzXQ.", "é.é", "[" * 5000])
def test_what_is_no_link_is_nobodys(text: str) -> None:
    assert not LINKS.valid(text, ADA)
    assert LINKS.whose(text) in (None, 1)


def test_a_link_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    made = token(LINKS.make(ADA))
    later = time.time() + LIFETIME_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert not LINKS.valid(made, ADA)
