"""What must never be in a log: planted everywhere that people and programs put secrets, and looked for at level debug."""

import io
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from server.links import Links
from terminals.store import Store
from tests.client import PASSWORD, User
from tests.conftest import Server, container_of, lxc
from tests.e2e.test_main_job import ask, shell
from tests.e2e.test_refusals import attach


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_no_log_has_what_was_typed_shown_brought_or_signs_anybody_in(
    make_server: Callable[..., Server], make_user: Callable[..., Any], store: Store, ending: str
) -> None:
    planted: dict[str, str] = {}

    def plant(what: str) -> str:
        planted[what] = f"plant{secrets.token_hex(8)}"
        return planted[what]

    server = make_server(LOG_LEVEL="debug", SECRET_KEY=plant("SECRET_KEY") * 2)
    server.start()
    student: User = await make_user(server.url)
    body = {"email": student.email, "password": plant("a wrong password")}
    await student.call("POST", "/api/login", body, status=401)
    await student.call("POST", "/api/login", {**body, "extra": "x" * 100, "password": 7}, status=400)
    await student.call("POST", "/api/enrolments", {"code": plant("a join code")[:12]}, status=404)
    user = await store.users.by_email(student.email)
    assert user is not None
    token = Links(server.settings["SECRET_KEY"], server.url).make(user).partition("#")[2]
    planted["a link's token"] = token
    fresh = plant("a new password")
    await student.call("POST", "/api/password", {"token": token, "password": fresh}, status=204)
    await student.sign_in(fresh)
    planted["a cookie"] = next(cookie.value for cookie in student.http.cookie_jar)

    session, page = await shell(student, "tiny-system")
    secret, shown = plant("what was typed"), plant("what was shown")
    assert await ask(page, f"x={secret}; echo {shown[:8]}{shown[8:]}") == shown
    assert page.ticket is not None
    planted["a ticket"] = page.ticket
    terminal = page.terminal
    await student.call(
        "PATCH", f"/api/sessions/{session}/terminals/{terminal}", {"title": plant("a title")}, status=204
    )
    data, name = plant("a file"), plant("a file's name")
    async with student.http.put(f"/api/sessions/{session}/files/{name}", data=io.BytesIO(data.encode())) as answer:
        assert answer.status == 201
    async with student.http.get(f"/api/sessions/{session}/home.tar.gz") as answer:
        await answer.read()
    # Frames and bodies that can't be meant, and a container that goes while keys are on their way.
    odd = student.page(terminal)
    await (await odd.open()).send_str(attach(ticket=plant("a bad ticket"), role=7))
    assert (await odd.closed()).code == 4400
    await page.type(plant("what nobody read"))
    lxc("stop", "-f", container_of(session))
    await page.type(plant("what came late") + "\r")
    await student.end(session)
    server.stop() if ending == "stop" else server.kill()

    log = server.log.read_bytes()
    assert b"viewer_attached" in log
    assert b'"level": "debug"' in log
    assert not [what for what, text in planted.items() if text.encode() in log]
    assert PASSWORD.encode() not in log
    assert b"secret=" not in log, "an exec's socket is whoever's that knows its address"
