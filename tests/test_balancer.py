"""The balancer of production's configuration: who is gone is left at once, who is back is used again, nothing is sent twice."""

import asyncio
import io
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from terminals.store import Store
from tests.balancer import MARK, PROGRAM, Balancer
from tests.client import PASSWORD, User
from tests.conftest import Server, free_port, lxc

QUICK_S = 0.5


@pytest.fixture
def two(make_server: Callable[..., Server], tmp_path: Path) -> Iterator[tuple[Balancer, list[Server]]]:
    ports = [free_port(), free_port()]
    with Balancer(tmp_path / "nginx", ports) as balancer:
        yield balancer, [make_server(PORT=str(port), PUBLIC_URL=balancer.url) for port in ports]


async def start(servers: list[Server]) -> None:
    await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))


async def reached(balancer: Balancer, times: int) -> tuple[set[int], float]:
    """The statuses, and the longest that one took."""
    statuses, longest = set(), 0.0
    async with aiohttp.ClientSession() as http:
        for _ in range(times):
            began = time.monotonic()
            async with http.get(f"{balancer.url}/healthz") as answer:
                statuses.add(answer.status)
            longest = max(longest, time.monotonic() - began)
    return statuses, longest


def used(folder: Path) -> list[str]:
    """Whom each request reached at last."""
    return re.findall(r'"upstream":"(?:[^"]*, )?([^",]+)"', (folder / "nginx" / "access.log").read_text())


async def test_an_instance_that_was_killed_is_left_at_once_and_used_again_when_it_is_back(
    two: tuple[Balancer, list[Server]], tmp_path: Path
) -> None:
    balancer, servers = two
    await start(servers)
    assert (await reached(balancer, 10))[0] == {200}
    assert set(used(tmp_path)) == {f"127.0.0.1:{server.port}" for server in servers}
    await asyncio.to_thread(servers[0].kill)
    statuses, longest = await reached(balancer, 20)
    assert statuses == {200}
    assert longest < QUICK_S
    assert set(used(tmp_path)[-20:]) == {f"127.0.0.1:{servers[1].port}"}
    await asyncio.to_thread(servers[0].start)
    await reached(balancer, 2)
    assert f"127.0.0.1:{servers[0].port}" in used(tmp_path)[-2:]


async def test_metrics_and_readiness_stay_inside(two: tuple[Balancer, list[Server]]) -> None:
    balancer, servers = two
    await start(servers)
    async with aiohttp.ClientSession() as http:
        for path in ("/metrics", "/readyz"):
            async with http.get(balancer.url + path) as answer:
                assert answer.status == 404


def test_what_a_killed_test_run_left_is_ended_by_the_next(tmp_path: Path) -> None:
    left = """
import os, signal, sys
from pathlib import Path
from tests.balancer import Balancer
balancer = Balancer(Path(sys.argv[1]), [1])
balancer.__enter__()
print(balancer._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", left, str(tmp_path / "killed")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = int(done.stdout)
    assert Path(f"/proc/{pid}/exe").readlink() == Path(PROGRAM)
    assert MARK.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    with Balancer(tmp_path / "next", [1]):
        stat = Path(f"/proc/{pid}/stat")
        assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


async def test_files_pass_whole_and_one_that_breaks_off_is_seen_to(
    two: tuple[Balancer, list[Server]], make_user: Callable[..., Any], store: Store
) -> None:
    balancer, servers = two
    await start(servers)
    student: User = await make_user(balancer.url)
    session = await student.start("first-steps")
    container = str(await store.containers.of_session(session))
    data = os.urandom(20 * 1024 * 1024)
    async with student.http.put(f"/api/sessions/{session}/files/data", data=io.BytesIO(data)) as answer:
        assert answer.status == 201, await answer.text()
    path = f"/api/sessions/{session}/home.tar.gz"
    async with student.http.get(path) as answer:
        with tarfile.open(fileobj=io.BytesIO(await answer.read())) as archive:
            assert archive.extractfile("student/uploads/data").read() == data  # type: ignore[union-attr]
    async with student.http.get(path) as answer:
        await answer.content.readexactly(65_536)
        lxc("exec", container, "--", "pkill", "-KILL", "-x", "tar")
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    async with student.http.put(
        f"/api/sessions/{session}/files/large", data=io.BytesIO(bytes(51 * 1024 * 1024))
    ) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "too_large")


@pytest.fixture
def tls(make_server: Callable[..., Server], tmp_path: Path) -> Iterator[tuple[Balancer, Server, ssl.SSLContext]]:
    folder = tmp_path / "tls"
    folder.mkdir()
    made = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", *words, *named, *made], check=True, capture_output=True, timeout=30)
    port = free_port()
    with Balancer(tmp_path / "nginx", [port], folder) as balancer:
        server = make_server(PORT=str(port), PUBLIC_URL=balancer.url, TRUST_FORWARDED="on")
        server.start()
        yield balancer, server, ssl.create_default_context(cafile=str(folder / "fullchain.pem"))


async def test_by_https_cookies_are_bound_to_it_and_a_terminal_works(
    tls: tuple[Balancer, Server, ssl.SSLContext], make_user: Callable[..., Any], tmp_path: Path
) -> None:
    balancer, server, trust = tls
    email = (await make_user(server.url)).email
    async with User(balancer.url, email, trust) as student:
        body = {"email": email, "password": PASSWORD}
        async with student.http.post("/api/login", json=body, headers={"X-Forwarded-For": "9.9.9.9"}) as answer:
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
            (cookie,) = answer.headers.getall("Set-Cookie")
        assert cookie.startswith("__Host-educenter=")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        session = await student.start("tiny-system")
        async with student.page(await student.first_terminal(session)) as page:
            await page.type("echo $((6*7))\r")
            await page.expect("\n42")
        await student.end(session)
    static = tmp_path / "nginx" / "srv" / "static"
    static.mkdir()
    (static / "x-ABCDEFGH.js").write_text("1")
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{balancer.url}/static/x-ABCDEFGH.js", ssl=trust) as answer:
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
            assert "immutable" in answer.headers["Cache-Control"]
        plain = f"http://localhost:{balancer.plain_port}"
        async with http.get(f"{plain}/courses/a?b=c", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, "https://localhost/courses/a?b=c")
        proof = tmp_path / "nginx" / "acme" / ".well-known" / "acme-challenge"
        proof.mkdir(parents=True)
        (proof / "token").write_text("proof")
        async with http.get(f"{plain}/.well-known/acme-challenge/token") as answer:
            assert await answer.text() == "proof"


@pytest.mark.parametrize(("version", "works"), [("tls1_1", False), ("tls1_2", True), ("tls1_3", True)])
def test_old_tls_is_refused(tls: tuple[Balancer, Server, ssl.SSLContext], version: str, works: bool) -> None:
    words = ["s_client", "-connect", f"127.0.0.1:{tls[0].port}", f"-{version}", "-cipher", "DEFAULT:@SECLEVEL=0"]
    done = subprocess.run(["openssl", *words], input=b"", capture_output=True, check=False, timeout=30)
    assert (done.returncode == 0) == works, done.stderr
    assert works or b"alert protocol version" in done.stderr


@pytest.mark.usefixtures("alone")
async def test_one_id_leads_from_the_browser_through_nginx_to_the_calls_to_lxd(
    make_server: Callable[..., Server], make_user: Callable[..., Any], tmp_path: Path
) -> None:
    port = free_port()
    with Balancer(tmp_path / "nginx", [port]) as balancer:
        server = make_server(PORT=str(port), PUBLIC_URL=balancer.url, LOG_LEVEL="debug")
        server.start()
        student: User = await make_user(balancer.url)
        async with student.http.post("/api/sessions", json={"lesson": "tiny-system"}) as answer:
            started, session = answer.headers["X-Request-Id"], (await answer.json())["id"]
        await student.until(session, "live")
        terminal = await student.first_terminal(session)
        async with student.page(terminal) as page:
            await page.type("echo $((6*7))\r")
            await page.expect("\n42")
        await student.end(session)
    proxied = [json.loads(line) for line in (tmp_path / "nginx" / "access.log").read_text().splitlines()]
    (socket,) = [line["request"] for line in proxied if line["path"] == f"/ws/terminals/{terminal}"]
    assert started in [line["request"] for line in proxied]
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    calls = {
        (line["request"], line["operation"]) for line in lines if line["event"] == "lxd_called" and "request" in line
    }
    assert {(started, "create"), (started, "start"), (socket, "exec")} <= calls
    assert {"viewer_attached", "viewer_detached"} <= {line["event"] for line in lines if line.get("request") == socket}
