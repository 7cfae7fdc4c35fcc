"""The commands, as operators run them."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from terminals.store import Store
from tests.client import User
from tests.conftest import ROOT, Server


@pytest.fixture
def command(server: Server) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    def run(*words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "server", *words],
            cwd=ROOT,
            env={**server.settings, "PORT": "8000"},
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("serve",),
        ("drain",),
        ("migrate",),
        ("seed",),
        ("lxd",),
        ("lxd", "setup"),
        ("user",),
        ("user", "add"),
        ("user", "delete"),
    ],
)
def test_every_command_explains_itself(command: Callable[..., Any], words: tuple[str, ...]) -> None:
    found = command(*words, "--help")
    assert found.returncode == 0
    assert found.stdout.count("\n") > 3


async def test_a_user_is_added_signs_in_and_is_deleted_labs_and_all(
    command: Callable[..., Any], server: Server, store: Store
) -> None:
    email = f"ada-{secrets.token_hex(4)}@example.test"
    added = command("user", "add", email, "Ada", "--course", "linux-basics", given="a-good-password\n")
    assert added.returncode == 0, added.stderr
    assert email in command("user", "list").stdout
    async with User(server.url, email) as ada:
        await ada.sign_in("a-good-password")
        session = await ada.start("tiny-system")
        first = command("user", "delete", email)
        assert (first.returncode, "Try again in a minute" in first.stderr) == (1, True)
        # As if the start's last beat were older than the janitor's patience.
        await store.database.run("UPDATE sessions SET heard_at = now() - interval '1 hour' WHERE id = $1", session)
        async with asyncio.timeout(90):
            while await store.containers.of_session(session) is not None:
                await asyncio.sleep(0.2)
    assert command("user", "delete", email).returncode == 0
    assert command("user", "delete", email).returncode == 1


def test_a_short_password_and_an_odd_address_are_refused_in_words(command: Callable[..., Any]) -> None:
    assert "8 characters" in command("user", "add", "a@example.test", "A", given="short\n").stderr
    odd = command("user", "add", "no-address", "A", given="a-good-password\n")
    assert odd.returncode == 1
    assert "Traceback" not in odd.stderr
