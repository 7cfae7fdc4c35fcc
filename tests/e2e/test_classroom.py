"""What people find around the terminal: courses by code, what is done and what comes next, names, and who is live."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.client import User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser, shell


async def live(teacher: User, name: str) -> list[dict[str, Any]]:
    """The terminals of everybody of this name in the demo course."""
    found = await teacher.call("GET", "/api/courses/linux-basics/live")
    return [each for seat in found["sessions"] if seat["student"]["name"] == name for each in seat["terminals"]]


async def until(check: Callable[[], Any], seconds: float = 15) -> Any:
    """What `check` gives once it is true."""
    async with asyncio.timeout(seconds):
        while not (found := await check()):
            await asyncio.sleep(0.2)
    return found


async def test_a_course_is_joined_by_its_code(server: Server, make_user: MakeUser) -> None:
    person: User = await make_user(server.url, role=None)
    assert (await person.call("GET", "/api/lessons"))["lessons"] == []
    refused = await person.call("POST", "/api/enrolments", {"code": "NOSUCH1"}, 404)
    assert refused["error"]["code"] == "unknown_code"
    for _ in range(2):
        joined = await person.call("POST", "/api/enrolments", {"code": " linux1"}, 201)
        assert joined == {"course": {"id": "linux-basics", "title": "Linux basics"}}
    lessons = (await person.call("GET", "/api/lessons"))["lessons"]
    assert {lesson["course"]["role"] for lesson in lessons} == {"student"}
    assert [lesson["position"] for lesson in lessons if lesson["position"] < 5] == [1, 2, 3, 4]


async def test_codes_can_not_be_guessed_without_end(server: Server, make_user: MakeUser) -> None:
    person: User = await make_user(server.url, role=None)
    for _ in range(10):
        await person.call("POST", "/api/enrolments", {"code": "GUESS1"}, 404)
    refused = await person.call("POST", "/api/enrolments", {"code": "LINUX1"}, 429)
    assert refused["error"]["code"] == "too_many_attempts"


async def test_joining_makes_no_teacher_a_student(server: Server, make_user: MakeUser) -> None:
    teacher: User = await make_user(server.url, role="instructor")
    await teacher.call("POST", "/api/enrolments", {"code": "LINUX1"}, 201)
    assert [course["id"] for course in (await teacher.call("GET", "/api/courses"))["courses"]] == ["linux-basics"]


async def test_an_ended_lesson_is_done_and_the_next_one_is_named(student: User) -> None:
    session = await student.start("tiny-system")
    shown = await student.call("GET", f"/api/sessions/{session}")
    assert shown["course"] == {"id": "linux-basics", "title": "Linux basics"}
    assert shown["lesson"]["position"] == 4
    assert (shown["ended"], shown["next"]) == (None, None)
    await student.end(session)
    shown = await student.call("GET", f"/api/sessions/{session}")
    assert shown["ended"]["by"] == "student"
    assert 0 <= shown["ended"]["seconds_ago"] < 30
    done = {lesson["id"]: lesson["done"] for lesson in (await student.call("GET", "/api/lessons"))["lessons"]}
    assert done["tiny-system"]
    assert not done["files"]
    first = await student.start("first-steps")
    await student.end(first)
    shown = await student.call("GET", f"/api/sessions/{first}")
    assert shown["next"] == {"id": "files", "title": "Files and folders"}


async def test_a_terminal_is_named_by_its_student_only(server: Server, student: User, make_user: MakeUser) -> None:
    session = await student.start("tiny-system")
    path = f"/api/sessions/{session}/terminals/{await student.first_terminal(session)}"

    async def title() -> str | None:
        found: str | None = (await student.call("GET", f"/api/sessions/{session}"))["terminals"][0]["title"]
        return found

    assert await title() is None
    await student.call("PATCH", path, {"title": "  my\u202e \t build\n"}, 204)
    assert await title() == "my build"
    for wrong in ({"title": "x" * 41}, {"title": 3}, {}):
        await student.call("PATCH", path, wrong, 400)
    await student.call("PATCH", f"/api/sessions/{session}/terminals/{'a' * 20}", {"title": "x"}, 404)
    other: User = await make_user(server.url)
    await other.call("PATCH", path, {"title": "x"}, 404)
    await student.call("PATCH", path, {"title": ""}, 204)
    assert await title() is None


async def test_an_instructor_sees_what_terminals_do_on_any_instance(
    server: Server, make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    other = make_server()
    await asyncio.to_thread(other.start)
    ana: User = await make_user(server.url, name="Ana of two")
    teacher: User = await make_user(other.url, role="instructor")
    session, page = await shell(ana, "tiny-system")
    await page.type("sleep 20\r")

    async def state(wanted: str) -> Any:
        found = await live(teacher, "Ana of two")
        return found if found and found[0]["state"] == wanted else None

    found = await until(lambda: state("typing"))
    assert found[0]["position"] == 1
    found = await until(lambda: state("running"))
    assert found[0]["command"] == "sleep"
    assert found[0]["quiet_seconds"] >= 3
    await page.type("\x03")
    await until(lambda: state("idle"))
    await page.leave()
    await until(lambda: state("away"))
    await ana.end(session)
    assert await live(teacher, "Ana of two") == []


async def test_only_its_instructors_see_a_course(server: Server, student: User, make_user: MakeUser) -> None:
    teacher: User = await make_user(server.url, role="instructor")
    assert (await teacher.call("GET", "/api/courses/linux-basics/live"))["course"]["join_code"] == "LINUX1"
    for path in ("/api/courses/linux-basics/live", "/api/courses/nothing/live"):
        refused = await student.call("GET", path, status=404)
        assert refused["error"]["code"] == "not_found"
    assert (await student.call("GET", "/api/courses"))["courses"] == []
    await teacher.call("GET", "/api/courses/nothing/live", status=404)
