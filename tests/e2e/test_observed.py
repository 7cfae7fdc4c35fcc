"""What is watched: a real Prometheus over a real instance knows every metric that alerts and dashboard ask for."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
import yaml

from terminals.lxd import Lxd
from terminals.store import Store
from tests.client import User
from tests.conftest import ROOT, Server, free_port
from tests.e2e.test_homes import fetched, put
from tests.e2e.test_main_job import MakeUser, ask, shell
from tests.e2e.test_metrics import documented
from tests.e2e.test_pool import POOL, emptied, until, waiting

pytestmark = pytest.mark.usefixtures("alone")

FOLDER = ROOT / "deploy" / "observability"
RARE = (
    # What needs a fault, an hour, or LXD's own moment; that the metric is known is checked for all.
    "educenter_sessions_ended_total",
    "educenter_remakes_total",
    "educenter_keeper_steps_total",
    "educenter_outside_total",
    "educenter_lxd_events_total",
    'result="unavailable"',
)
SOURCES = "\n".join(path.read_text() for part in ("server", "terminals") for path in (ROOT / part).rglob("*.py"))


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[tuple[str, str]]:
    """Title and query of each line of the dashboard."""
    found = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in found for target in panel.get("targets", [])]


def test_the_rules_are_valid_and_fire_when_they_should() -> None:
    for command in (("check", "config", "prometheus.yml"), ("test", "rules", "alerts.test.yml")):
        done = subprocess.run(
            ["promtool", *command], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_asked_for_is_what_the_documents_name() -> None:
    queries = [*(rule["expr"] for rule in alerts()), *(query for _, query in panels())]
    names = set(re.findall(r"\b(?:educenter|process)_\w+", " ".join(queries)))
    known = documented()
    parts = {
        f"{name}_{part}" for name, kind in known.items() if kind == "histogram" for part in ("bucket", "count", "sum")
    }
    assert not names - set(known) - parts
    unseen = [name for name in known if not any(found.startswith(name) for found in names)]
    # Address space says nothing that memory doesn't.
    assert unseen == ["process_virtual_memory_bytes"], "each metric is on the dashboard"


def test_log_events_that_alerts_name_are_logged() -> None:
    told = " ".join(text for rule in alerts() for text in rule["annotations"].values())
    events = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", told))
    assert "request_failed" in events
    assert not [event for event in events if f'"{event}"' not in SOURCES]


class Prometheus:
    """`async with` it."""

    def __init__(self, folder: Path, target: int) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(FOLDER / "alerts.yml")]
        job = config["scrape_configs"][0]
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{target}"]}]
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        self._command = ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'data'}"]
        self._command.append(f"--web.listen-address=127.0.0.1:{port}")

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(self.url)
        nothing = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=nothing, stderr=nothing)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await self._process.wait()
        await self._http.close()

    async def ask(self, query: str) -> list[Any]:
        """The series of an instant query."""
        async with self._http.get("/api/v1/query", params={"query": query}) as answer:
            said = await answer.json()
        assert said["status"] == "success", f"{query}: {said}"
        found: list[Any] = said["data"]["result"]
        return found

    async def up(self, scrapes: int) -> bool:
        try:
            found = await self.ask('sum_over_time(up{job="educenter"}[1m])')
        except (aiohttp.ClientError, AssertionError):
            return False  # it still starts
        return bool(found) and float(found[0]["value"][1]) >= scrapes

    async def firing(self) -> set[str]:
        async with self._http.get("/api/v1/rules", params={"type": "alert"}) as answer:
            groups = (await answer.json())["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) == len(alerts())
        assert not [rule["lastError"] for rule in rules if rule["health"] == "err"]
        return {rule["name"] for rule in rules if rule["state"] == "firing"}


@pytest.fixture
async def watched(
    make_server: Callable[..., Server], tmp_path: Path, store: Store, lxd: Lxd
) -> AsyncIterator[tuple[Server, Prometheus]]:
    server = make_server(**POOL)
    server.start()
    try:
        async with Prometheus(tmp_path, server.port) as prometheus:
            await until(lambda: prometheus.up(1))
            yield server, prometheus
    finally:
        server.stop()
        await emptied(store, lxd)


@pytest.mark.timeout(180)
async def test_every_panel_has_something_to_show_and_a_healthy_instance_alerts_nobody(
    watched: tuple[Server, Prometheus], make_user: MakeUser, store: Store
) -> None:
    server, prometheus = watched

    async def stocked() -> bool:
        return len(await waiting(store)) == 2

    await until(stocked)
    student: User = await make_user(server.url)
    session, page = await shell(student, "tiny-system")
    await ask(page, "seq 1000")
    await page.leave()
    await put(student, session, "brought", b"x")
    await fetched(student, session)

    async def shown() -> bool:
        return not await empty(prometheus)

    try:
        await until(shown)
    except TimeoutError:
        raise AssertionError(await empty(prometheus)) from None
    assert not await prometheus.firing()


async def empty(prometheus: Prometheus) -> list[tuple[str, str]]:
    """Panels that have nothing to show, though they should."""
    common = [(title, query) for title, query in panels() if not any(rare in query for rare in RARE)]
    asked = [(panel, await prometheus.ask(panel[1].replace("$__rate_interval", "1m"))) for panel in common]
    return [panel for panel, series in asked if not series or all(one["value"][1] == "NaN" for one in series)]
