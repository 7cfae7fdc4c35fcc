import time

import pytest

from server.tickets import LIFETIME_S, Tickets


def test_a_ticket_says_who_may_come_back_to_what() -> None:
    found = Tickets("k" * 32).read(Tickets("k" * 32).sign(7, "abc"))
    assert found is not None
    assert (found.user, found.terminal) == (7, "abc")


@pytest.mark.parametrize("text", ["", ".", "a.b.c", "W10.AAAA", "é.é", "%%%.%%%"])
def test_what_is_no_ticket_is_refused(text: str) -> None:
    assert Tickets("k" * 32).read(text) is None


def test_another_key_and_a_changed_ticket_are_refused() -> None:
    ticket = Tickets("k" * 32).sign(7, "abc")
    assert Tickets("x" * 32).read(ticket) is None
    assert Tickets("k" * 32).read("A" + ticket[1:]) is None


def test_a_ticket_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    tickets = Tickets("k" * 32)
    ticket = tickets.sign(7, "abc")
    later = time.time() + LIFETIME_S + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert tickets.read(ticket) is None
