"""Networks hold: a lab reaches what its lesson says and nothing else, whatever its root does; a neighbour types on."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from server.seed import COURSE
from terminals.store import Store
from terminals.store.database import Database
from terminals.store.lessons import Text, Wants
from tests.attacks.arena import ROWS, WANTS, Arena
from tests.attacks.island import CLOSED, HOST, INSIDE, INTERNET, LISTENER, PROXY_PORT, WEB, Island
from tests.client import User
from tests.conftest import ROOT, Server, lxc, people
from tests.databases import environment
from tests.e2e.test_main_job import ask, shell
from tests.hostile.lab import Neighbour

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

HOSTS = ("listed.edu.example", "*.below.edu.example", "inside.edu.example", "host.edu.example", "loop.edu.example")
CLOSED_WANTS = replace(WANTS, network="closed", hosts=HOSTS)
INTERNET_WANTS = replace(WANTS, network="internet")
PROXY = f"{CLOSED}:{PROXY_PORT}"
PORTS = (22, 443)
"""Where programs of the lab host listen, on every address that it has."""
TUNNEL = "HTTP/1.1 200 Connection established |  | HELLO | "
FOUND = "FOUND"


@dataclass(frozen=True)
class Labs:
    """Two attackers; the neighbour of both has a closed lab, too."""

    closed: Arena
    internet: Arena
    neighbour: str
    """Its container."""

    def of(self, network: str) -> Arena:
        return self.closed if network == "closed" else self.internet


@pytest.fixture(scope="module")
def island() -> Iterator[Island]:
    with Island(Path(os.environ["LXD_URL"]).parent.parent) as made, environment(made.environment):
        yield made


@pytest.fixture(scope="module")
def world(island: Island) -> Iterator[list["subprocess.Popen[str]"]]:
    """A web server of the internet, one of the organisation, and what listens on the lab host."""
    places = [f"{WEB}:{port}" for port in (22, 80, 443)] + [f"udp:{WEB}:53", f"{INSIDE}:443"]
    listening = [
        island.listen(island.outer, *places),
        island.listen(island.inner, *(f"0.0.0.0:{port}" for port in PORTS), "udp:0.0.0.0:9"),
    ]
    yield listening
    for process in listening:
        process.kill()
        process.communicate(timeout=10)


@pytest.fixture(scope="module")
def proxy(island: Island, world: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`python -m server proxy`, as an operator runs it; its log."""
    path = tmp_path_factory.mktemp("proxy") / "log"
    with path.open("wb") as log:
        command = island.within(island.inner, sys.executable, "-m", "server", "proxy")
        settings = {**os.environ, **island.environment, "LOG_FORMAT": "json"}
        process = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=log, stderr=log)
    ends = time.monotonic() + 20
    while b"proxy_started" not in path.read_bytes():
        assert process.poll() is None, path.read_text()
        assert time.monotonic() < ends, path.read_text()
        time.sleep(0.05)
    yield path
    process.terminate()
    assert process.wait(20) == 0
    assert "Traceback" not in path.read_text()
    assert "proxy_failed" not in path.read_text()


@pytest.fixture(scope="module")
def served(island: Island, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("island") / "log")
    running.start()
    yield running
    running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def labs(served: Server, proxy: Path, pytestconfig: pytest.Config) -> AsyncIterator[Labs]:
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        store = Store.over(database)
        wants = Wants("lab", network="closed", hosts=HOSTS)
        await store.lessons.put("beside", COURSE, 96, Text("Beside", 10), wants)
        async with people(store) as make_user:
            neighbour: User = await make_user(served.url)
            session, page = await shell(neighbour, "beside")
            rows = pytestconfig.stash.setdefault(ROWS, [])
            made = {}
            for name, position, each in (("closed", 94, CLOSED_WANTS), ("internet", 95, INTERNET_WANTS)):
                lesson = (f"attacked-{name}", position, each)
                made[name] = Arena(served, store, await make_user(served.url), Neighbour(page), rows, lesson)
                await made[name].open()
                await ask(made[name].page, "until ip -4 -o addr show eth0 | grep -q inet; do sleep 0.1; done")
            yield Labs(made["closed"], made["internet"], str(await store.containers.of_session(session)))
            for arena in made.values():
                await arena.leave()
            await page.leave()


def refusals(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if '"proxy_refused"' in line]


async def awake(arena: Arena) -> Arena:
    """Its pages again: the server takes one for gone that nobody reads for half a minute."""
    for page in (arena.page, arena.neighbour.page):
        await page.leave()
        await page.connect()
    return arena


async def address_of(arena: Arena, container: str) -> str:
    return str((await arena.store.containers.made(container)).address)


@pytest.mark.parametrize("network", ["closed", "internet"])
async def test_a_port_scan_finds_no_host_no_neighbour_and_no_private_address(
    labs: Labs, island: Island, network: str
) -> None:
    arena = await awake(labs.of(network))
    neighbour = await address_of(arena, labs.neighbour)
    other = await address_of(arena, labs.of("internet" if network == "closed" else "closed").container)
    for container in (labs.neighbour, labs.internet.container, labs.closed.container):
        lxc(
            "exec",
            container,
            "--",
            "sh",
            "-c",
            "ss -ltn | grep -q :8000 || python3 -m http.server 8000 >/dev/null 2>&1 &",
        )
        lxc("exec", container, "--", "sh", "-c", "until ss -ltn | grep -q :8000; do sleep 0.1; done")
    forbidden = [f"{address}:{port}" for address in (CLOSED, INTERNET, HOST) for port in PORTS]
    forbidden += [f"{neighbour}:8000", f"{other}:8000", f"{INSIDE}:443"]
    if network == "closed":
        forbidden += [f"{WEB}:443", f"{WEB}:80"]
    else:
        forbidden += [PROXY]
    for place in [f"{address}:{port}" for address in (CLOSED, INTERNET, HOST) for port in PORTS] + [f"{INSIDE}:443"]:
        host, _, port = place.rpartition(":")
        island.python(f"import socket; socket.create_connection(({host!r}, {port}), 3)")
    async with arena.beside(f"port scan, {network} lab", "access list, port isolation") as seen:
        said = await arena.attack("scan", *forbidden, f"{WEB}:443", PROXY, root=True)
        seen.append(" ".join(sorted({said[place] for place in forbidden})))
    assert {place: said[place] for place in forbidden if said[place] == FOUND} == {}
    assert said["interfaces"] == "lo,eth0"
    allowed = PROXY if network == "closed" else f"{WEB}:443"
    assert said[allowed] == FOUND, "what it may reach it reaches: the scan itself works"


async def test_frames_from_foreign_addresses_are_dropped(labs: Labs, island: Island) -> None:
    arena = await awake(labs.closed)
    container = labs.neighbour
    neighbour = await address_of(arena, container)
    host = island.listen(island.inner, "frames:edu-closed")
    lxc("file", "push", "-q", str(LISTENER), f"{container}/root/")
    lxc("exec", container, "--", "sh", "-c", "python3 -u /root/listener.py frames:eth0 > /root/seen 2>&1 &")
    lxc("exec", container, "--", "sh", "-c", "until grep -q listening /root/seen; do sleep 0.1; done")
    async with arena.beside("spoofed MAC, address, ARP", "mac and ip filtering, isolation") as seen:
        said = await arena.attack("spoof", CLOSED, neighbour, root=True)
        # The last one: when it is there, all others would be.
        said |= {
            f"again {name}": answer
            for name, answer in (await arena.attack("spoof", CLOSED, neighbour, root=True)).items()
        }
        await asyncio.sleep(0.5)
        host.kill()
        arrived = sorted(set((host.communicate(timeout=10)[0] or "").splitlines()))
        seen.append(f"{len(said) // 2} kinds sent; the host gets: {', '.join(arrived)}; a neighbour none")
    assert set(said.values()) == {FOUND}, "all were sent"
    assert arrived == ["frame honest"]
    assert lxc("exec", container, "--", "cat", "/root/seen").split() == ["listening"]


async def test_no_datagram_and_no_name_leaves_a_closed_lab(labs: Labs, world: list["subprocess.Popen[str]"]) -> None:
    arena = await awake(labs.closed)
    places = [f"{WEB}:53", f"{CLOSED}:53", f"{INTERNET}:53", f"{HOST}:53", f"{CLOSED}:9", f"{HOST}:9", f"{INSIDE}:53"]
    async with arena.beside("DNS tunnel, datagrams", "access list; no name server on the bridge") as seen:
        said = await arena.attack("datagrams", *places, root=True)
        seen.append(" ".join(sorted(set(said.values()))))
    assert {name: answer for name, answer in said.items() if answer == FOUND} == {}
    again = await (await awake(labs.internet)).attack("datagrams", f"{WEB}:53")
    assert again[f"{WEB}:53"] == FOUND, "from an internet lab it is answered: the question itself works"


async def test_the_proxy_goes_to_listed_names_on_two_ports_and_nowhere_near(labs: Labs, proxy: Path) -> None:
    arena = await awake(labs.closed)
    allowed = ["listed.edu.example:443", "LISTED.edu.example:80", "deep.below.edu.example:443"]
    refused = {
        "unlisted.edu.example.org:443": "not_listed",
        "below.edu.example:443": "not_listed",
        "listed.edu.example.org:443": "not_listed",
        "inside.edu.example:443": "private",
        "host.edu.example:443": "private",
        "loop.edu.example:443": "private",
        "listed.edu.example:22": "port",
        f"{WEB}:443": "no_name",
        f"{INSIDE}:443": "no_name",
        "[::1]:443": "no_name",
        "localhost:443": "no_name",
        "2130706433:443": "no_name",
        "nowhere.below.edu.example:443": "unresolved",
    }
    async with arena.beside("CONNECT to what isn't listed", "proxy") as seen:
        said = await arena.attack("connect", PROXY, *allowed, *refused)
        seen.append(f"403 or 502, {len(refused)} kinds")
    assert [said[target] for target in allowed] == [TUNNEL] * len(allowed)
    for target, code in refused.items():
        assert f"X-EduCenter: {code} " in said[target], (target, said[target])
        assert "HELLO" not in said[target]
    logged = refusals(proxy)
    assert any("unlisted.edu.example.org" in line and arena.session in line for line in logged)


async def test_a_head_that_can_be_read_in_two_ways_gets_no_tunnel(labs: Labs) -> None:
    arena = await awake(labs.closed)
    async with arena.beside("smuggling in the proxy's head", "proxy") as seen:
        said = await arena.attack("smuggle", PROXY, "listed.edu.example")
        seen.append(" ".join(sorted({answer.split(" | ")[0] for answer in said.values()})))
    assert len(said) == 15
    for kind, answer in said.items():
        assert answer.startswith(("HTTP/1.1 4", "cut")), (kind, answer)
        assert "HELLO" not in answer, (kind, answer)


async def test_who_is_slow_is_cut_and_keeps_nobody_out(labs: Labs) -> None:
    arena = await awake(labs.closed)
    page = labs.closed.neighbour.page
    async with arena.beside("slowloris, 200 connections", "proxy: 32 of one lab, 10 s for a head") as seen:
        said = await arena.attack("slow", PROXY, "listed.edu.example", 200)
        seen.append(f"{said['answers']}; all gone after {said['seconds']} s")
    assert said["left"] == "0"
    assert int(said["seconds"]) < 25
    assert "200 Connection" not in said["answers"]
    await page.type("\x15")
    text = await ask(page, "curl -sS --max-time 10 -o /dev/null https://listed.edu.example 2>&1; echo done")
    # Greeted in the clear by what isn't TLS: it was reached.
    assert "wrong version number" in text or "SSL" in text, text


async def test_students_programs_find_the_proxy_by_themselves_also_with_sudo(labs: Labs) -> None:
    page = (await awake(labs.closed)).page
    proxied = f"http://{PROXY}"
    assert await ask(page, "echo $https_proxy") == proxied
    assert await ask(page, "sudo sh -c 'echo $http_proxy'") == proxied
    assert "not_listed" in await ask(page, "curl -sS -p -o /dev/null -D - http://unlisted.edu.example.org/ 2>/dev/null")
    assert "method" in await ask(page, "curl -sS -o /dev/null -D - http://listed.edu.example/")
    assert await ask((await awake(labs.internet)).page, "echo none$https_proxy") == "none"


async def test_an_internet_lab_reaches_the_internet(labs: Labs) -> None:
    assert await ask((await awake(labs.internet)).page, f"timeout 5 cat < /dev/tcp/{WEB}/22") == "HELLO"


async def test_who_is_no_closed_lab_gets_nothing_from_the_proxy(island: Island, proxy: Path) -> None:
    """Of the host itself, for one."""
    asking = (
        f"import socket; s = socket.create_connection(({CLOSED!r}, {PROXY_PORT}), 3)\n"
        "s.sendall(b'CONNECT listed.edu.example:443 HTTP/1.1\\r\\n\\r\\n'); print(s.recv(999).decode())"
    )
    assert "X-EduCenter: no_lab" in island.python(asking)


async def test_a_list_that_is_changed_holds_at_once_and_without_a_restart(labs: Labs) -> None:
    arena = await awake(labs.closed)
    put, sql = arena.store.database.run, "UPDATE lessons SET hosts = $1 WHERE id = 'attacked-closed'"
    await put(sql, ["unlisted.edu.example.org"])
    try:
        await asyncio.sleep(2.1)  # what the proxy believes of a list
        said = await arena.attack("connect", PROXY, "unlisted.edu.example.org:443", "listed.edu.example:443")
    finally:
        await put(sql, list(HOSTS))
    assert said["unlisted.edu.example.org:443"] == TUNNEL
    assert "not_listed" in said["listed.edu.example:443"]
    await asyncio.sleep(2.1)
