"""Limits: the lesson's word over its course's over the deployment's, in the database and in LXD."""

import os
import secrets
from collections.abc import AsyncIterator, Callable

import pytest

from server.seed import COURSE
from terminals.limits import Limits
from terminals.lxd import Lxd
from terminals.store import Store
from terminals.store.database import Database
from terminals.store.lessons import Needs, Text, Wants
from tests.conftest import Server, lxc
from tests.e2e.test_main_job import MakeUser, ask, shell

DEPLOYMENT = Limits(memory="300MiB", cpu="3", processes=300, disk="3GiB", output=300_000)
INSTANCE = "limits-test"


@pytest.fixture
async def limited() -> AsyncIterator[Store]:
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        yield Store.over(database, DEPLOYMENT)


@pytest.fixture
async def course(store: Store) -> AsyncIterator[str]:
    """One of a test's own: others count what they find in the demo's."""
    name = f"limits-{secrets.token_hex(4)}"
    await store.courses.put(name, "Limits")
    yield name
    await store.database.run("DELETE FROM courses WHERE id = $1", name)


async def resolved(store: Store, lesson: str, user: int, image: str) -> list[Needs]:
    """As a lesson that is opened, the pool, and a start that waits have it."""
    opened = await store.lessons.needs(lesson, user)
    assert opened is not None
    (kind,) = [kind.needs for kind in await store.lessons.kinds() if kind.needs.image == image]
    while True:  # a server that runs may be first
        session, _ = await store.sessions.begin(user, lesson)
        picked = await store.sessions.pick(INSTANCE, 1000)
        await store.sessions.end(session)
        if picked is not None:
            assert picked.session == session
            return [opened, kind, picked.needs]


async def test_the_lesson_is_over_the_course_is_over_the_deployment(
    limited: Store, course: str, server: Server, make_user: MakeUser
) -> None:
    student = await make_user(server.url, role=None)
    person = await limited.users.by_email(student.email)
    assert person is not None
    await limited.courses.enrol(course, person.id, "student")
    lesson, image = f"{course}-lesson", f"{course}-image"

    async def put(wants: Wants) -> None:
        await limited.lessons.put(lesson, course, 1, Text("Limited", 10), wants)

    await put(Wants(image))
    for needs in await resolved(limited, lesson, person.id, image):
        assert needs == Needs(image, "300MiB", "3", 300, "3GiB")
    await limited.courses.limit(course, {"memory": "200MiB", "processes": 200, "output": 200_000})
    for needs in await resolved(limited, lesson, person.id, image):
        assert needs == Needs(image, "200MiB", "3", 200, "3GiB")
    await put(Wants(image, memory="100MiB", cpu="1", disk="1GiB", root=True, output=0))
    for needs in await resolved(limited, lesson, person.id, image):
        assert needs == Needs(image, "100MiB", "1", 200, "1GiB", root=True)
    await limited.courses.limit(course, {})
    for needs in await resolved(limited, lesson, person.id, image):
        assert needs == Needs(image, "100MiB", "1", 300, "1GiB", root=True)


async def test_a_lesson_that_says_nothing_gets_the_deployments_limits(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store, lxd: Lxd
) -> None:
    server = make_server(LIMIT_MEMORY="96MiB", LIMIT_PROCESSES="90", LIMIT_CPU="1", LIMIT_DISK="2GiB")
    server.start()
    await store.lessons.put("says-nothing", COURSE, 96, Text("Says nothing", 10), Wants("busybox"))
    session, page = await shell(await make_user(server.url), "says-nothing")
    assert await ask(page, "grep MemTotal /proc/meminfo | tr -s ' '") == f"MemTotal: {96 * 1024} kB"
    container = str(await store.containers.of_session(session))
    instance = await lxd.instance(container)
    assert instance["devices"]["root"]["size"] == "2GiB"
    config = {key: value for key, value in instance["config"].items() if key.startswith(("limits.", "security."))}
    assert config == {
        "limits.memory": "96MiB",
        "limits.processes": "90",
        "limits.cpu": "1",
        "limits.cpu.allowance": "10%",
        "limits.memory.swap": "false",
        "limits.kernel.core": "1",
        "security.privileged": "false",
        "security.nesting": "false",
        "security.devlxd": "false",
    }
    assert not any(key.startswith("raw.") for key in instance["config"])
    assert lxc("exec", container, "--", "ls", "/sys/class/net").split() == ["lo"]
    assert "dev/lxd" not in lxc("exec", container, "--", "cat", "/proc/mounts")
    await page.leave()
