"""Passwords: what an unknown address is checked against must cost what a known one costs."""

from server.passwords import NOBODY, Passwords


async def test_nobodys_hash_is_as_strong_as_todays_and_matches_nothing() -> None:
    passwords = Passwords()
    assert not passwords.outdated(NOBODY)
    assert not await passwords.matches(None, "nobody")
    assert not await passwords.matches(NOBODY, "nobody")
    passwords.close()
