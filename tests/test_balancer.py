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
from redis.asyncio import Redis

from terminals.store import Store
from tests.balancer import MARK, PROGRAM, Balancer
from tests.client import PASSWORD, User
from tests.conftest import Server, free_port, lxc
from tests.e2e.test_main_job import ask

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


async def raw(port: int, text: str) -> bytes:
    """The whole answer to a request as no library would send it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.replace("\n", "\r\n").encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


OUTSIDE = (
    *(
        "/static/../../secret",
        "/static/../../../../../../etc/passwd",
        "/../secret",
        "//etc/passwd",
        "/static//etc/passwd",
    ),
    *(
        "/static/%2e%2e/%2e%2e/secret",
        "/static/..%2f..%2fsecret",
        "/static/..%252f..%252fsecret",
        "/static/..;/..;/secret",
    ),
    *("/static/..%5c..%5csecret", "/static/%00", "/static/x%00/../../secret", "/static", "/static/", "/static/."),
)


async def test_no_path_leads_out_of_the_static_files(two: tuple[Balancer, list[Server]], tmp_path: Path) -> None:
    balancer, servers = two
    await start(servers)
    hidden = "out of reach"
    for folder in (tmp_path, tmp_path / "nginx", tmp_path / "nginx" / "srv"):
        (folder / "secret").write_text(hidden)
    (tmp_path / "nginx" / "srv" / "static").mkdir()
    (tmp_path / "nginx" / "srv" / "static" / "open").write_text("within reach")
    assert b"within reach" in await raw(balancer.port, "GET /static/open HTTP/1.0\n\n")
    for port in (balancer.port, servers[0].port):
        for path in OUTSIDE:
            answer = await raw(port, f"GET {path} HTTP/1.0\nHost: x\n\n")
            assert re.match(rb"HTTP/1\.[01] (30[0-9]|40[0-9]) ", answer), (port, path, answer[:200])
            assert not any(word in answer for word in (hidden.encode(), b"root:", b"manifest")), (port, path)


SMUGGLED = "GET /metrics HTTP/1.1\nHost: x\n\n"
TWO_LENGTHS = {
    "length and chunks": f"Content-Length: {len(SMUGGLED) + 8}\nTransfer-Encoding: chunked\n\n0\n\n{SMUGGLED}",
    "two lengths": f"Content-Length: 2\nContent-Length: {len(SMUGGLED)}\n\n{SMUGGLED}",
    "odd chunks": f"Transfer-Encoding: xchunked\n\n0\n\n{SMUGGLED}",
    "chunks twice": f"Transfer-Encoding: chunked\nTransfer-Encoding: identity\n\n0\n\n{SMUGGLED}",
    "a folded header": f"X: y\n Transfer-Encoding: chunked\nContent-Length: -1\n\n{SMUGGLED}",
}


async def test_a_request_that_could_be_read_in_two_ways_is_read_in_none(two: tuple[Balancer, list[Server]]) -> None:
    balancer, servers = two
    await start(servers)
    head = "POST /api/login HTTP/1.1\nHost: x\nContent-Type: application/json\nConnection: close\n"
    for kind, rest in TWO_LENGTHS.items():
        for port in (balancer.port, servers[0].port):
            answer = await raw(port, head + rest)
            assert re.match(rb"HTTP/1\.[01] (400|501) ", answer), (kind, answer[:300])
            assert b"educenter_" not in answer, kind
    reached = "".join(server.log.read_text() for server in servers)
    assert '"route": "/metrics"' not in reached


def certified(folder: Path) -> Path:
    """A folder with a certificate of its own; a new one where there was one."""
    folder.mkdir(exist_ok=True)
    made = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", *words, *named, *made], check=True, capture_output=True, timeout=30)
    return folder


@pytest.fixture
def tls(make_server: Callable[..., Server], tmp_path: Path) -> Iterator[tuple[Balancer, Server, ssl.SSLContext]]:
    folder = certified(tmp_path / "tls")
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


async def test_nobody_chooses_the_address_by_which_their_tries_are_counted(
    tls: tuple[Balancer, Server, ssl.SSLContext], make_user: Callable[..., Any], redis: Redis
) -> None:
    balancer, server, trust = tls
    email = (await make_user(server.url)).email
    async with User(balancer.url, email, trust) as guesser:
        for number in range(11):
            body = {"email": email, "password": PASSWORD if number == 10 else PASSWORD[::-1]}
            told = {
                "X-Forwarded-For": f"9.9.9.{number}",
                "X-Real-IP": f"9.9.8.{number}",
                "Forwarded": f"for=9.9.7.{number}",
            }
            async with guesser.http.post("/api/login", json=body, headers=told) as answer:
                assert answer.status == (401 if number < 10 else 429)
    await redis.delete(*await redis.keys("attempts:*"))


async def test_a_new_certificate_is_taken_and_no_open_terminal_is_cut(
    make_server: Callable[..., Server], make_user: Callable[..., Any], tmp_path: Path
) -> None:
    """By the command of docs/operations.md; nginx has a master and workers here, as in production."""
    folder, port = certified(tmp_path / "tls"), free_port()
    first = (folder / "fullchain.pem").read_text()
    trust = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
    with Balancer(tmp_path / "nginx", [port], folder, master=True) as balancer:
        server = make_server(PORT=str(port), PUBLIC_URL=balancer.url)
        server.start()
        email = (await make_user(server.url)).email
        async with User(balancer.url, email, trust) as student:
            await student.sign_in()
            page = student.page(await student.first_terminal(await student.start("tiny-system")))
            await page.connect()
            assert await ask(page, "echo $((6*7))") == "42"
            (old,), resets = balancer.workers(), page.resets
            await page.type("for n in $(seq 300); do echo line$n; sleep 0.02; done; echo OV''ER\r")
            await page.expect("line50\r\n")

            certified(folder)
            assert shown(balancer) == first
            await asyncio.to_thread(balancer.reload)
            second = (folder / "fullchain.pem").read_text()
            async with asyncio.timeout(10):
                while shown(balancer) != second:
                    await asyncio.sleep(0.05)

            await page.expect("OVER\r\n")
            lines = re.findall(r"line(\d+)\r\n", page.output.decode())
            assert lines == [str(number) for number in range(1, 301)]
            assert page.resets == resets
            assert await ask(page, "echo $((7*6))") == "42"
            assert old in balancer.workers()
            assert len(balancer.workers()) == 2
            # Whoever comes now gets the new one; who doesn't trust it sees that it is another.
            renewed = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
            async with User(balancer.url, email, renewed) as beside:
                await beside.sign_in()
            async with User(balancer.url, email, trust) as behind:
                with pytest.raises(aiohttp.ClientConnectorCertificateError):
                    await behind.sign_in()
            await page.leave()
        async with asyncio.timeout(20):
            while old in balancer.workers():
                await asyncio.sleep(0.1)


def shown(balancer: Balancer) -> str:
    """The certificate that a new connection is shown."""
    return ssl.get_server_certificate(("localhost", balancer.port), timeout=5)


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
