"""A student takes all files home as one archive and brings files in: bounded, never overwriting, never short without a word."""

import asyncio
import hashlib
import io
import os
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from terminals.store import Store
from tests.client import User
from tests.conftest import Server, lxc
from tests.e2e.test_main_job import MakeUser, ask, shell
from tests.e2e.test_pool import until

MIB = 1024 * 1024
LARGE = 100 * MIB


async def fetched(student: User, session: str) -> tarfile.TarFile:
    async with student.http.get(f"/api/sessions/{session}/home.tar.gz") as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "attachment" in answer.headers["Content-Disposition"]
        return tarfile.open(fileobj=io.BytesIO(await answer.read()))


async def put(student: User, session: str, name: str, data: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    path = f"/api/sessions/{session}/files/{quote(name, safe='')}"
    url = student.http._build_url(path).with_path(path, encoded=True)
    body = io.BytesIO(data) if isinstance(data, bytes) else data
    async with student.http.put(url, data=body, headers=headers) as answer:
        return answer.status, await answer.json()


def inside(container: str, command: str) -> str:
    return lxc("exec", container, "--", "sh", "-c", command)


async def container(store: Store, session: str) -> str:
    return str(await store.containers.of_session(session))


@pytest.mark.parametrize(("lesson", "home"), [("first-steps", "student"), ("tiny-system", "root")])
async def test_the_archive_holds_the_home_as_it_is(student: User, lesson: str, home: str) -> None:
    session, page = await shell(student, lesson)
    await ask(
        page, "mkdir -p a/b; echo one > a/b/one; ln -s b/one a/link; chmod 750 a/b; echo 'é ü' > 'né w'; cd /; cd"
    )
    await page.leave()
    found = await fetched(student, session)
    names = {member.name: member for member in found.getmembers()}
    assert {f"{home}/a/b/one", f"{home}/a/link", f"{home}/né w"} <= set(names)
    assert names[f"{home}/a/link"].linkname == "b/one"
    assert names[f"{home}/a/b"].mode & 0o777 == 0o750
    assert found.extractfile(f"{home}/né w").read() == "é ü\n".encode()  # type: ignore[union-attr]


@pytest.mark.parametrize(("lesson", "home"), [("first-steps", "/home/student"), ("tiny-system", "/root")])
async def test_a_home_of_packed_data_comes_as_plain_tar_and_any_other_as_gzip(
    student: User, store: Store, lesson: str, home: str
) -> None:
    session = await student.start(lesson)
    name = await container(store, session)
    inside(name, f"head -c {20 * MIB} /dev/urandom > '{home}/a b'")
    assert await kind(student, session) == ("application/x-tar", f"{lesson}-home.tar")
    assert (await fetched(student, session)).getmember(f"{home[1:].rpartition('/')[2]}/a b").size == 20 * MIB
    inside(name, f"seq 1 6000000 > {home}/text")
    assert await kind(student, session) == ("application/gzip", f"{lesson}-home.tar.gz")


async def kind(student: User, session: str) -> tuple[str, str]:
    async with student.http.get(f"/api/sessions/{session}/home.tar.gz") as answer:
        await answer.read()
        return answer.content_type, answer.headers["Content-Disposition"].split('"')[1]


async def test_the_archive_is_made_as_the_student_and_leaves_out_what_that_may_not_read(
    student: User, store: Store
) -> None:
    session = await student.start("first-steps")
    name = await container(store, session)
    inside(name, "echo secret > /home/student/roots; chmod 600 /home/student/roots; ln -s /root /home/student/way")
    found = await fetched(student, session)
    assert "student/roots" not in found.getnames() or found.getmember("student/roots").size == 0
    assert found.getmember("student/way").issym()


async def test_a_large_home_costs_the_server_next_to_nothing_and_one_comes_at_a_time(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store, aloud: Callable[[str], None]
) -> None:
    server = make_server()
    server.start()
    student: User = await make_user(server.url)
    session = await student.start("first-steps")
    name = await container(store, session)
    # Not to be compressed: the archive is as large as the home.
    inside(name, f"head -c {LARGE} /dev/urandom > /home/student/large")
    before, size, most = memory(server), 0, 0
    began = time.monotonic()
    async with student.http.get(f"/api/sessions/{session}/home.tar.gz") as answer:
        assert answer.status == 200
        async with student.http.get(f"/api/sessions/{session}/home.tar.gz") as second:
            assert (second.status, (await second.json())["error"]["code"]) == (409, "busy")
        async for chunk in answer.content.iter_any():
            size += len(chunk)
            most = max(most, memory(server))
    seconds = time.monotonic() - began
    assert size > LARGE
    assert '"level": "error"' not in server.log.read_text()
    assert most - before < 24 * MIB
    aloud(
        f"{size / MIB:.0f} MiB in {seconds:.1f} s: {size / MIB / seconds:.1f} MiB/s, {(most - before) / MIB:.1f} MiB more"
    )
    async with student.http.head(f"/api/sessions/{session}/home.tar.gz") as answer:
        assert answer.status == 200, "the turn was given back"


def memory(server: Server) -> int:
    """Resident bytes."""
    assert server.process is not None
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a_browser_that_stops_reading_stops_tar_and_one_that_goes_ends_it(student: User, store: Store) -> None:
    session = await student.start("first-steps")
    name = await container(store, session)
    inside(name, f"head -c {LARGE} /dev/urandom > /home/student/large")
    async with student.http.get(f"/api/sessions/{session}/home.tar.gz") as answer:
        await answer.content.readexactly(MIB)
        await until(lambda: _still(name))
        answer.close()
    await until(lambda: _no_tar(name))


def read_by_tar(container: str) -> list[str]:
    """What each tar has read so far."""
    found = inside(container, "for p in $(pgrep -x tar); do grep rchar /proc/$p/io; done")
    return found.split()


async def _still(container: str) -> bool:
    before = await asyncio.to_thread(read_by_tar, container)
    await asyncio.sleep(1)
    return bool(before) and before == await asyncio.to_thread(read_by_tar, container)


async def _no_tar(container: str) -> bool:
    return not await asyncio.to_thread(read_by_tar, container)


async def test_an_archive_that_breaks_off_is_never_taken_for_whole(student: User, store: Store) -> None:
    session = await student.start("first-steps")
    name = await container(store, session)
    inside(name, f"head -c {LARGE} /dev/urandom > /home/student/large")
    async with student.http.get(f"/api/sessions/{session}/home.tar.gz") as answer:
        await answer.content.readexactly(MIB)
        inside(name, "pkill -KILL -x tar")
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    inside(name, "rm -f /usr/bin/gzip /bin/gzip")
    refused = await student.call("GET", f"/api/sessions/{session}/home.tar.gz", status=502)
    assert refused["error"]["code"] == "cut", "before the first byte it is an error like any other"


@pytest.mark.parametrize(
    ("lesson", "home", "owner"), [("first-steps", "/home/student", "student"), ("tiny-system", "/root", "root")]
)
async def test_a_file_is_brought_in_whole_as_the_student_and_overwrites_nothing(
    student: User, store: Store, lesson: str, home: str, owner: str
) -> None:
    session = await student.start(lesson)
    name = await container(store, session)
    data = os.urandom(3 * MIB)
    assert await put(student, session, "data.tar.gz", data) == (201, {"name": "data.tar.gz", "folder": "uploads"})
    digest = inside(name, f"md5sum {home}/uploads/data.tar.gz; stat -c %U {home}/uploads/data.tar.gz").split()
    assert (digest[0], digest[-1]) == (hashlib.md5(data).hexdigest(), owner)
    assert (await put(student, session, "data.tar.gz", b"other"))[1]["name"] == "data.tar (2).gz"
    assert (await put(student, session, "data.tar.gz", b"more"))[1]["name"] == "data.tar (3).gz"
    assert inside(name, f"cat '{home}/uploads/data.tar (2).gz'") == "other"
    assert (await put(student, session, "$(reboot) 'q' \u202f-rf.é", b"odd"))[1]["name"] == "$(reboot) 'q' -rf.é"
    assert (await put(student, session, "-rf", b""))[0] == 201
    left = inside(name, f"ls -A {home}/uploads").splitlines()
    assert sorted(left) == sorted(["data.tar.gz", "data.tar (2).gz", "data.tar (3).gz", "$(reboot) 'q' -rf.é", "-rf"])


@pytest.mark.parametrize("wrong", ["../x", "a/b", "..", "a\x07b", "a\u202eb", "x" * 300])
async def test_a_name_is_a_name(student: User, wrong: str) -> None:
    session = await student.start("tiny-system")
    status, answer = await put(student, session, wrong, b"x")
    assert (status, answer["error"]["code"]) in {(400, "bad_name"), (404, "not_found"), (405, "wrong_method")}


async def test_a_folder_that_leads_elsewhere_gives_the_student_no_more_than_a_shell_does(
    student: User, store: Store
) -> None:
    session = await student.start("first-steps")
    name = await container(store, session)
    before = inside(name, "ls -A /etc; md5sum /etc/passwd")
    inside(name, "ln -s /etc /home/student/uploads")
    for file in ("passwd", "new"):
        status, answer = await put(student, session, file, b"root::0:0::/:/bin/sh")
        assert 400 <= status < 500, answer
        assert "/" not in answer["error"]["message"]
    assert inside(name, "ls -A /etc; md5sum /etc/passwd") == before


async def test_what_is_too_large_or_comes_half_or_finds_no_room_leaves_nothing(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store
) -> None:
    server = make_server(UPLOAD_MOST="300")
    server.start()
    student: User = await make_user(server.url)
    session = await student.start("tiny-system")
    name = await container(store, session)
    shown = await student.call("GET", f"/api/sessions/{session}")
    assert shown["upload_most"] == 300 * MIB
    status, answer = await put(student, session, "large", zeros(301), **{"Content-Length": str(301 * MIB)})
    assert (status, answer["error"]["code"]) == (413, "too_large")
    status, answer = await put(student, session, "unknown", zeros(1))
    assert (status, answer["error"]["code"]) == (400, "no_length")
    # The browser is gone in the middle of it.
    half = asyncio.create_task(put(student, session, "half", drip(), **{"Content-Length": str(100 * MIB)}))
    await until(lambda: _has(name, ".upload-"))
    half.cancel()
    await asyncio.gather(half, return_exceptions=True)
    await until(lambda: _empty(name))
    inside(name, "cat /dev/zero > /root/fill 2>/dev/null || sync")
    status, answer = await put(student, session, "no-room", zeros(300), **{"Content-Length": str(300 * MIB)})
    assert (status, answer["error"]["code"]) == (409, "disk_full")
    assert await _empty(name)
    assert '"level": "error"' not in server.log.read_text()


async def zeros(mib: int) -> AsyncIterator[bytes]:
    for _ in range(mib):
        yield os.urandom(MIB)


async def drip() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65_536
        await asyncio.sleep(0.05)


async def _has(container: str, start: str) -> bool:
    return start in await asyncio.to_thread(inside, container, "ls -A /root/uploads 2>/dev/null || :")


async def _empty(container: str) -> bool:
    return await asyncio.to_thread(inside, container, "ls -A /root/uploads") == ""


async def test_an_instance_killed_in_the_middle_leaves_no_file_under_its_name(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store
) -> None:
    server = make_server()
    server.start()
    student: User = await make_user(server.url)
    session = await student.start("tiny-system")
    name = await container(store, session)
    half = asyncio.create_task(put(student, session, "half", drip(), **{"Content-Length": str(40 * MIB)}))
    await until(lambda: _has(name, ".upload-"))
    server.kill()
    await asyncio.gather(half, return_exceptions=True)
    assert "half" not in inside(name, "ls -A /root/uploads").split()
    inside(name, "touch -d '2020-01-01 00:00' /root/uploads/.upload-*")
    server.start()
    assert (await put(student, session, "whole", b"whole"))[0] == 201
    assert inside(name, "ls -A /root/uploads").split() == ["whole"]


async def test_there_is_nothing_to_fetch_of_a_lab_that_does_not_run(student: User) -> None:
    session = await student.start("tiny-system")
    await student.end(session)
    refused = await student.call("GET", f"/api/sessions/{session}/home.tar.gz", status=409)
    assert refused["error"]["code"] == "not_live"
    assert (await put(student, session, "a", b"a"))[0] == 409
