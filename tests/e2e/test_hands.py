"""Raised hands: one queue for each course, one instructor for each hand, and nobody else's business."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from server import seed
from terminals.store import Store
from terminals.store.lessons import Text, Wants
from tests.client import User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser

NOBODY = "a" * 20


@pytest.fixture(scope="module")
def elsewhere(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another instance of the same service, which no test harms either."""
    second = Server(tmp_path_factory.mktemp("elsewhere") / "log", PUBLIC_URL=server.url)
    second.start()
    yield second
    second.stop()


@pytest.fixture
async def teacher(server: Server, make_user: MakeUser) -> User:
    found: User = await make_user(server.url, role="instructor", name="Ms Rivera")
    return found


async def raise_hand(student: User, session: str, terminal: str | None = None) -> Any:
    body = {"terminal": terminal} if terminal else {}
    return (await student.call("POST", f"/api/sessions/{session}/hand", body, 201))["hand"]


async def hand_of(student: User, session: str) -> Any:
    return (await student.call("GET", f"/api/sessions/{session}"))["hand"]


async def queue(teacher: User, sessions: list[str], course: str = seed.COURSE) -> list[dict[str, Any]]:
    """The course's raised hands, of these sessions only: other tests may leave some."""
    hands = (await teacher.call("GET", f"/api/courses/{course}/live"))["hands"]
    return [hand for hand in hands if hand["session"] in sessions]


async def raised(student: User, teacher: User, lesson: str = "tiny-system") -> tuple[str, dict[str, Any]]:
    """A student's live session with its hand up: (session, the hand as the teacher sees it)."""
    session = await student.start(lesson)
    await raise_hand(student, session)
    [hand] = await queue(teacher, [session])
    return session, hand


async def test_a_raised_hand_is_seen_by_the_courses_instructors(student: User, teacher: User) -> None:
    session = await student.start("tiny-system")
    assert await hand_of(student, session) is None
    terminal = await student.first_terminal(session)
    mine = await raise_hand(student, session, terminal)
    assert (mine["claimed_by"], mine["place"]) == (None, 1)
    assert 0 <= mine["seconds"] < 10
    [hand] = await queue(teacher, [session])
    me = (await student.call("GET", "/api/me"))["user"]
    assert hand["student"] == {"id": me["id"], "name": me["name"]}
    assert hand["lesson"]["id"] == "tiny-system"
    assert (hand["terminal"], hand["claimed_by"]) == (terminal, None)
    again = await raise_hand(student, session)
    assert again["place"] == 1
    assert [each["id"] for each in await queue(teacher, [session])] == [hand["id"]]


async def test_a_closed_tab_is_not_named(student: User, teacher: User) -> None:
    session = await student.start("tiny-system")
    terminal = await student.first_terminal(session)
    await raise_hand(student, session, terminal)
    await student.call("DELETE", f"/api/sessions/{session}/terminals/{terminal}", status=204)
    [hand] = await queue(teacher, [session])
    assert hand["terminal"] is None


async def test_a_student_lowers_the_hand_and_may_raise_it_anew(student: User, teacher: User) -> None:
    session, hand = await raised(student, teacher)
    for _ in range(2):
        await student.call("DELETE", f"/api/sessions/{session}/hand", status=204)
    assert await hand_of(student, session) is None
    assert await queue(teacher, [session]) == []
    await teacher.call("POST", f"/api/hands/{hand['id']}/claim", status=404)
    await raise_hand(student, session)
    [second] = await queue(teacher, [session])
    assert second["id"] != hand["id"]


async def test_hands_queue_in_the_order_in_which_they_went_up(
    elsewhere: Server, teacher: User, student: User, make_user: MakeUser, store: Store
) -> None:
    # A course of its own, so that no other test's hand stands in the queue.
    await store.courses.put("queue", "Queue")
    wants = Wants(image="busybox", memory="128MiB", processes=100, disk="1GiB")
    await store.lessons.put("queue-lesson", "queue", 1, Text("Waiting", 10), wants)
    people: list[User] = [
        student,
        await make_user(elsewhere.url, name="Ben"),
        await make_user(elsewhere.url, name="Chi"),
    ]
    for role, each in [("instructor", teacher), *(("student", person) for person in people)]:
        await store.courses.enrol("queue", int((await each.call("GET", "/api/me"))["user"]["id"]), role)
    sessions = [await person.start("queue-lesson") for person in people]
    for person, session in reversed(list(zip(people, sessions, strict=True))):
        await raise_hand(person, session)

    async def places() -> list[int | None]:
        hands = [await hand_of(person, session) for person, session in zip(people, sessions, strict=True)]
        return [hand and hand["place"] for hand in hands]

    assert [hand["session"] for hand in await queue(teacher, sessions, "queue")] == sessions[::-1]
    assert await places() == [3, 2, 1]
    oldest = (await queue(teacher, sessions, "queue"))[0]
    await teacher.call("POST", f"/api/hands/{oldest['id']}/claim")
    assert await places() == [2, 1, None]
    assert [hand["session"] for hand in await queue(teacher, sessions, "queue")] == sessions[::-1]
    await people[1].call("DELETE", f"/api/sessions/{sessions[1]}/hand", status=204)
    assert await places() == [1, None, None]


async def test_of_two_who_claim_at_once_exactly_one_wins(
    elsewhere: Server, student: User, teacher: User, make_user: MakeUser
) -> None:
    other: User = await make_user(elsewhere.url, role="instructor", name="Mr Okafor")
    names = {"Ms Rivera": teacher, "Mr Okafor": other}
    session, _ = await raised(student, teacher)
    for _ in range(10):
        [hand] = await queue(teacher, [session])

        async def claim(person: User, path: str = f"/api/hands/{hand['id']}/claim") -> tuple[int, str | None]:
            async with person.http.post(path) as response:
                answer = await response.json()
                return response.status, answer.get("error", {}).get("code")

        answers = dict(zip(names, await asyncio.gather(*map(claim, names.values())), strict=True))
        assert sorted(answers.values()) == [(200, None), (409, "claimed")]
        winner = next(name for name, (status, _) in answers.items() if status == 200)
        assert (await hand_of(student, session))["claimed_by"] == winner
        for person in (teacher, other):
            [seen] = await queue(person, [session])
            assert seen["claimed_by"]["name"] == winner
        assert await claim(names[winner]) == (200, None)  # it is theirs already
        await student.call("DELETE", f"/api/sessions/{session}/hand", status=204)
        await raise_hand(student, session)


async def test_any_instructor_resolves_it_from_any_instance(
    elsewhere: Server, student: User, teacher: User, make_user: MakeUser
) -> None:
    other: User = await make_user(elsewhere.url, role="instructor", name="Mr Okafor")
    session, hand = await raised(student, teacher)
    await teacher.call("POST", f"/api/hands/{hand['id']}/claim")
    shown = await hand_of(student, session)
    assert (shown["claimed_by"], shown["place"]) == ("Ms Rivera", None)
    for _ in range(2):
        await other.call("POST", f"/api/hands/{hand['id']}/resolve", status=204)
    assert await hand_of(student, session) is None
    assert await queue(teacher, [session]) == []


async def test_a_session_that_ends_takes_its_hand_down(student: User, teacher: User) -> None:
    session, hand = await raised(student, teacher)
    await student.end(session)
    assert await hand_of(student, session) is None
    assert await queue(teacher, [session]) == []
    await teacher.call("POST", f"/api/hands/{hand['id']}/claim", status=404)
    refused = await student.call("POST", f"/api/sessions/{session}/hand", {}, 409)
    assert refused["error"]["code"] == "not_live"


async def test_hands_are_nobody_elses_business(
    server: Server, student: User, teacher: User, make_user: MakeUser, store: Store
) -> None:
    session, hand = await raised(student, teacher)
    stranger: User = await make_user(server.url, name="Ben")
    theirs = await stranger.start("tiny-system")
    await store.courses.put("elsewhere", "Elsewhere")
    outsider: User = await make_user(server.url, role=None, name="Mr Okafor")
    await store.courses.enrol("elsewhere", int((await outsider.call("GET", "/api/me"))["user"]["id"]), "instructor")
    # Another student, the student as instructor, an instructor of another course, the instructor as student.
    for person in (stranger, outsider, teacher):
        await person.call("POST", f"/api/sessions/{session}/hand", {}, 404)
        await person.call("DELETE", f"/api/sessions/{session}/hand", status=404)
    for person in (stranger, outsider, student):
        for verb in ("claim", "resolve"):
            refused = await person.call("POST", f"/api/hands/{hand['id']}/{verb}", status=404)
            assert refused["error"]["code"] == "not_found"
    for verb in ("claim", "resolve"):
        await teacher.call("POST", f"/api/hands/{NOBODY}/{verb}", status=404)
    other_terminal = await stranger.first_terminal(theirs)
    for wrong in (other_terminal, NOBODY):
        await student.call("POST", f"/api/sessions/{session}/hand", {"terminal": wrong}, 404)
    await student.call("POST", f"/api/sessions/{session}/hand", {"terminal": 3}, 400)
    async with stranger.http.__class__(base_url=server.url) as nobody:
        for path in (f"/api/sessions/{session}/hand", f"/api/hands/{hand['id']}/claim"):
            async with nobody.post(path) as response:
                assert response.status == 401
    [still] = await queue(teacher, [session])
    assert (still["id"], still["claimed_by"]) == (hand["id"], None)


async def test_hands_do_not_go_up_without_end(student: User) -> None:
    session = await student.start("tiny-system")
    for _ in range(30):
        await raise_hand(student, session)
        await student.call("DELETE", f"/api/sessions/{session}/hand", status=204)
    refused = await student.call("POST", f"/api/sessions/{session}/hand", {}, 429)
    assert refused["error"]["code"] == "too_many_attempts"
