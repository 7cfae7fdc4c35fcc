"""What the twelve factors ask of the files, and of an instance on a database without schema (docs/operations.md has all)."""

import ast
import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import aiohttp
import yaml

from tests.conftest import ROOT, Server
from tests.test_migrate import database

__all__ = ["database"]

IMAGES = {"postgres": "postgres:15-bookworm", "redis": "redis:7-bookworm"}
OF_THE_IMAGE = {"HOLDER_PATH", "STATIC_DIR", "NODE", "SCREEN_SCRIPT", "HOST", "PORT"}
"""Where things lie in it, and where it listens."""
ELSEWHERE = {"DOOR_DIR", "INSTANCE"}
"""Only with an LXD of the same host; drawn from the container's name."""


def compose(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return found


def variables() -> set[str]:
    return set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def test_ii_every_dependency_is_pinned() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        named = [line for line in lines if line and not line.lstrip().startswith("#") and not line.startswith("-r ")]
        assert named
        assert not [line for line in named if not re.match(r"^[a-z0-9A-Z-]+==[0-9][\w.]*( *;.*)?$", line)]
    lock = json.loads((ROOT / "static" / "package-lock.json").read_text())["packages"]
    assert not [name for name, found in lock.items() if name and not found.get("integrity")]


def test_iii_only_the_settings_read_the_environment() -> None:
    """And all of it is in .env.example, as test_settings checks."""
    readers = {
        str(path.relative_to(ROOT))
        for part in ("server", "terminals")
        for path in (ROOT / part).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if ast.unparse(node) in ("os.environ", "os.getenv", "environs")
        or (isinstance(node, ast.ImportFrom) and node.module == "environs")
    }
    assert readers == {"server/settings.py"}


def test_iii_production_passes_on_every_variable() -> None:
    passed = set(compose("docker-compose.prod.yml")["services"]["backend"]["environment"])
    assert passed == variables() - OF_THE_IMAGE - ELSEWHERE


def test_v_and_xii_nothing_is_prepared_at_startup() -> None:
    for name in ("docker-compose.yml", "docker-compose.prod.yml"):
        text = json.dumps([each.get("command") for each in compose(name)["services"].values()])
        assert "migrate" not in text
        assert "seed" not in text


def test_x_development_has_the_services_of_production() -> None:
    for name in ("docker-compose.yml", "docker-compose.prod.yml"):
        services = compose(name)["services"]
        assert {service: services[service]["image"] for service in IMAGES} == IMAGES
        assert "noeviction" in services["redis"]["command"]


def test_development_waits_for_the_folder_that_it_watches() -> None:
    """watchfiles ends where a path isn't there, and a new volume is empty."""
    services = compose("docker-compose.yml")["services"]
    assert services["backend"]["depends_on"]["front"]["condition"] == "service_healthy"
    served = services["backend"]["environment"]["STATIC_DIR"]
    assert f"{served}/manifest.json" in services["front"]["healthcheck"]["test"]


def test_production_restarts_bounds_and_waits_for_everything() -> None:
    for name, service in compose("docker-compose.prod.yml")["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert service["mem_limit"], name
        assert service["logging"]["options"]["max-size"], name
        if name in ("backend", "nginx"):
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


async def test_xii_an_instance_without_a_schema_says_so_and_needs_no_restart(
    make_server: Callable[..., Server], database: str
) -> None:
    server = make_server(DATABASE_URL=database.replace("postgresql://", "postgresql+asyncpg://"), SWEEP_SECONDS="1")
    server.start()
    body = {"email": "ada@example.test", "password": "a-good-password"}
    async with aiohttp.ClientSession(server.url) as http:
        async with http.get("/readyz") as answer:
            told = (await answer.json())["dependencies"]["postgresql"]
            assert "python -m server migrate" in told
        async with http.post("/api/login", json=body) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (503, "not_migrated")
        words = [sys.executable, "-m", "server", "migrate"]
        await asyncio.to_thread(subprocess.run, words, cwd=ROOT, env=server.settings, check=True, timeout=60)
        async with http.get("/readyz") as answer:
            assert (await answer.json())["dependencies"]["postgresql"] == "ok"
        async with http.post("/api/login", json=body) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (401, "bad_credentials")
    assert server.stop() < 10
