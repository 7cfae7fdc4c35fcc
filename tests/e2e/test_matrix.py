"""Who may do what: every route and every kind of socket, for every kind of person. A route that isn't in the table fails here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from server import api, classroom, health, homes, pages, seed, teaching
from terminals.store import Store
from tests.client import Closed, Page, User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser, shell

LESSON = "tiny-system"
ANYBODY = frozenset({"nobody", "stranger", "classmate", "student", "instructor", "foreign instructor", "admin"})
SIGNED_IN = ANYBODY - {"nobody"}
ENROLLED = frozenset({"classmate", "student", "instructor"})
STUDENT, INSTRUCTOR = frozenset({"student"}), frozenset({"instructor"})
"""`student` is the one whose session it is; `foreign instructor` teaches another course; `admin` is enrolled nowhere."""


@dataclass(frozen=True)
class Rule:
    """Who may, what they send, and the status that they get."""

    allowed: frozenset[str]
    status: int = 200
    body: dict[str, Any] | None = None
    denied: int = 404
    """What everybody else gets who has signed in: somebody else's is told apart from nothing."""
    spoils: bool = field(default=False)
    """What is allowed would take away what the other rules need: tried by who may not only."""


API: dict[tuple[str, str], Rule] = {
    ("POST", "/api/login"): Rule(ANYBODY, 401, {"email": "nobody@example.test", "password": "wrong-wrong"}),
    ("POST", "/api/logout"): Rule(ANYBODY, 204, spoils=True),
    ("POST", "/api/logout/everywhere"): Rule(SIGNED_IN, 204, spoils=True),
    ("POST", "/api/password"): Rule(ANYBODY, 410, {"token": "W10.AAAA", "password": "long-enough"}),
    ("GET", "/api/me"): Rule(SIGNED_IN),
    ("GET", "/api/lessons"): Rule(SIGNED_IN),
    ("GET", "/api/courses"): Rule(SIGNED_IN),
    ("POST", "/api/enrolments"): Rule(SIGNED_IN, 404, {"code": "NOSUCHCODE"}),
    ("POST", "/api/sessions"): Rule(ENROLLED, 202, {"lesson": LESSON}),
    ("GET", "/api/sessions/{id}"): Rule(STUDENT),
    ("DELETE", "/api/sessions/{id}"): Rule(STUDENT, 202, spoils=True),
    ("POST", "/api/sessions/{id}/terminals"): Rule(STUDENT, 201),
    ("PATCH", "/api/sessions/{id}/terminals/{terminal}"): Rule(STUDENT, 204, {"title": "mine"}),
    ("DELETE", "/api/sessions/{id}/terminals/{terminal}"): Rule(STUDENT, 204, spoils=True),
    ("POST", "/api/sessions/{id}/hand"): Rule(STUDENT, 201, {"terminal": None}),
    ("DELETE", "/api/sessions/{id}/hand"): Rule(STUDENT, 204, spoils=True),
    ("POST", "/api/sessions/{id}/extend"): Rule(STUDENT),
    ("POST", "/api/sessions/{id}/restart"): Rule(STUDENT, spoils=True),
    ("POST", "/api/sessions/{id}/reset"): Rule(STUDENT, 202, spoils=True),
    ("POST", "/api/sessions/{id}/restore"): Rule(STUDENT, 202, spoils=True),
    ("GET", "/api/sessions/{id}/home.tar.gz"): Rule(STUDENT),
    ("PUT", "/api/sessions/{id}/files/{name}"): Rule(STUDENT, 201),
    ("POST", "/api/hands/{hand}/claim"): Rule(INSTRUCTOR),
    ("POST", "/api/hands/{hand}/resolve"): Rule(INSTRUCTOR, 204),
    ("GET", "/api/courses/{course}/live"): Rule(INSTRUCTOR),
    ("GET", "/api/courses/{course}/rules"): Rule(INSTRUCTOR),
    ("PATCH", "/api/courses/{course}/rules"): Rule(INSTRUCTOR, 200, {"assisting": "ask"}),
    ("GET", "/api/courses/{course}/audits"): Rule(INSTRUCTOR),
    ("POST", "/api/courses/{course}/sessions/{session}/acts"): Rule(INSTRUCTOR, 202, {"act": "end"}, spoils=True),
    ("GET", "/api/courses/{course}/acts"): Rule(INSTRUCTOR),
}
PAGES: dict[tuple[str, str], Rule] = {
    ("GET", "/"): Rule(SIGNED_IN),
    ("GET", "/signin"): Rule(ANYBODY),
    ("GET", "/password"): Rule(ANYBODY),
    ("GET", "/sessions/{id}"): Rule(STUDENT),
    ("GET", "/courses/{course}"): Rule(INSTRUCTOR),
    ("GET", "/courses/{course}/help"): Rule(INSTRUCTOR),
    ("GET", "/watch/{terminal}"): Rule(INSTRUCTOR | STUDENT),
}
INSIDE: dict[tuple[str, str], Rule] = {
    ("GET", "/healthz"): Rule(ANYBODY),
    ("GET", "/readyz"): Rule(ANYBODY),
    ("GET", "/metrics"): Rule(ANYBODY),
}
SOCKETS = {"driver": STUDENT, "observer": STUDENT | INSTRUCTOR}
ALL = {**API, **PAGES, **INSIDE}


def routes() -> Iterator[tuple[str, str]]:
    """What the application serves, with the names that the table has for its parts."""
    served = [
        *api.routes(),
        *homes.routes(),
        *classroom.routes(),
        *teaching.routes(),
        *pages.routes(),
        *health.routes(),
    ]
    for route in served:
        path = re.sub(r"\{(\w+):[^/]*\}", r"{\1}", route.path)
        path = path.replace("/courses/{id}", "/courses/{course}").replace("/watch/{id}", "/watch/{terminal}")
        path = path.replace("/hands/{id}", "/hands/{hand}")
        yield route.method, path


def test_every_route_is_in_the_table_and_nothing_else() -> None:
    assert sorted(routes()) == sorted(ALL)


@dataclass
class World:
    """One student's live lab, and everybody who might want something of it."""

    people: dict[str, User]
    page: Page
    names: dict[str, str]

    def path(self, template: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: self.names[found[1]], template)


@pytest.fixture
async def world(server: Server, make_user: MakeUser, store: Store) -> World:
    student: User = await make_user(server.url)
    people = {
        "nobody": User(server.url, "nobody"),
        "stranger": await make_user(server.url, role=None),
        "classmate": await make_user(server.url),
        "student": student,
        "instructor": await make_user(server.url, role="instructor"),
        "foreign instructor": await make_user(server.url, role=None),
        "admin": await make_user(server.url, role=None),
    }
    await store.courses.put("elsewhere", "Another course")
    foreign = await store.users.by_email(people["foreign instructor"].email)
    assert foreign is not None
    await store.courses.enrol("elsewhere", foreign.id, "instructor")
    await store.database.run("UPDATE users SET admin = true WHERE email = $1", people["admin"].email)
    session, page = await shell(student, LESSON)
    await student.call("POST", f"/api/sessions/{session}/hand", {"terminal": page.terminal}, 201)
    hand = await store.database.value("SELECT id FROM hands WHERE session_id = $1", session)
    names = {"id": session, "session": session, "terminal": page.terminal, "course": seed.COURSE, "hand": hand}
    return World(people, page, names | {"name": "a.txt"})


async def test_the_matrix_of_http(world: World) -> None:
    wrong, asked = [], 0
    for (method, template), rule in ALL.items():
        html = (method, template) in PAGES
        for who, person in world.people.items():
            if who in rule.allowed and rule.spoils:
                continue
            headers = {"Accept": "text/html" if html else "application/json"}
            request = person.http.request(
                method, world.path(template), json=rule.body, headers=headers, allow_redirects=False
            )
            async with request as answer:
                status, where = answer.status, answer.headers.get("Location", "")
            asked += 1
            # Pages send who hasn't signed in to do so; the API says 401.
            unsigned = 303 if html else 401
            wanted = rule.status if who in rule.allowed else unsigned if who == "nobody" else rule.denied
            if status != wanted or (status == 303 and not where.startswith("/signin")):
                wrong.append(f"{method} {template} as {who}: {status} {where}, wanted {wanted}")
    await world.people["nobody"].http.close()
    assert asked > 150
    assert not wrong, "\n".join(wrong)


async def test_the_matrix_of_sockets(world: World) -> None:
    wrong = []
    for role, allowed in SOCKETS.items():
        for who, person in world.people.items():
            page = person.page(world.page.terminal, role=role)
            try:
                got: object = (await page.connect())["role"]
            except Closed as end:
                got = end.code
            await page.leave()
            wanted: object = role if who in allowed else 4401 if who == "nobody" else 4404
            if got != wanted:
                wrong.append(f"{role} as {who}: {got}, wanted {wanted}")
    # To type into it: the student by driving, an instructor only when let in; nobody by saying so.
    for who in ("instructor", "student"):
        page = world.people[who].page(world.page.terminal, role="observer")
        await page.connect()
        await page.type(b"echo for''bidden\r")
        await page.leave()
    foreign = {"Origin": "http://evil.example"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await world.people["student"].page(world.page.terminal).open(**foreign)
    assert refused.value.status == 403
    await world.people["nobody"].http.close()
    assert not wrong, "\n".join(wrong)
    again = world.people["student"].page(world.page.terminal)
    await again.connect()
    await again.type(b"echo al''lowed\r")
    await again.expect("allowed\r\n")
    assert b"forbidden" not in again.output
    await again.leave()
