"""The application in this process, with a detector that fails whatever blocks the loop."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from blockbuster import BlockBuster, blockbuster_ctx
from pytest_aiohttp.plugin import AiohttpClient

from server import app as application
from server import auth, pages
from server import settings as setting
from terminals.errors import Unavailable
from tests.client import PASSWORD

Client = TestClient[web.Request, web.Application]


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[BlockBuster]:
    with blockbuster_ctx(["server", "terminals"]) as detector:
        # Local look-ups of two libraries when they connect: redis-py's own version, asyncpg's ~/.pgpass.
        for name in ("os.stat", "os.listdir", "os.scandir", "io.TextIOWrapper.read", "io.BufferedReader.read"):
            detector.functions[name].can_block_in("redis/utils.py", {"get_lib_version"})
        detector.functions["os.stat"].can_block_in("asyncpg/connect_utils.py", {"_read_password_file"})
        yield detector


@pytest.fixture
def app(seeded: None, monkeypatch: pytest.MonkeyPatch) -> web.Application:
    """Built before the loop runs, as `serve` does it: files are read here and nowhere else."""
    monkeypatch.setenv("PUBLIC_URL", "http://127.0.0.1:8000")
    monkeypatch.setenv("DEMO", "on")
    monkeypatch.setenv("PORT", "8000")
    return application.build(setting.read())


@pytest.fixture
async def client(app: web.Application, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(app)


async def sign_in(client: Client) -> None:
    body = {"email": "student02@demo.test", "password": PASSWORD}
    async with client.post("/api/login", json=body) as answer:
        assert answer.status == 200


async def test_health_says_alive_ready_and_what_answers(client: Client) -> None:
    async with client.get("/healthz") as answer:
        assert await answer.json() == {"alive": True}
    async with client.get("/readyz") as answer:
        body = await answer.json()
    assert answer.status == 200
    assert body["ready"] is True
    assert body["dependencies"] == {"postgresql": "ok", "redis": "ok", "lxd": "ok"}


async def test_metrics_count_requests_viewers_terminals_and_calls_to_lxd(client: Client) -> None:
    async with client.get("/readyz"), client.get("/metrics") as answer:
        text = await answer.text()
    for name in ("http_requests_total", "http_request_seconds_bucket", "viewers", "terminals", "lxd_calls_total"):
        assert f"educenter_{name}" in text
    assert 'route="/readyz"' in text


async def test_every_answer_has_the_security_headers_and_the_request_id(client: Client) -> None:
    for path in ("/signin", "/healthz", "/nowhere", "/api/me"):
        async with client.get(path) as answer:
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with client.get("/healthz", headers={"X-Request-Id": "abc"}) as answer:
        assert answer.headers["X-Request-Id"] == "abc"
    async with client.get("/healthz", headers={"X-Request-Id": "not/plain"}) as answer:
        assert answer.headers["X-Request-Id"] != "not/plain"


async def test_pages_name_their_hashed_files_and_these_are_cached_for_good(client: Client) -> None:
    await sign_in(client)
    async with client.get("/") as answer:
        page = await answer.text()
    assert answer.headers["Cache-Control"] == "no-store"
    name = next(part.split('"')[0] for part in page.split('src="') if part.startswith("/static/lessons-"))
    async with client.get(name) as answer:
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]
    async with client.get("/static/../server/app.py") as answer:
        assert answer.status == 404


async def test_people_get_error_pages_and_programs_get_json(client: Client) -> None:
    async with client.get("/nowhere", headers={"Accept": "text/html"}) as answer:
        assert (answer.status, answer.content_type) == (404, "text/html")
    async with client.get("/api/nowhere") as answer:
        assert (await answer.json())["error"]["code"] == "not_found"


async def test_the_sign_in_cookie_is_out_of_reach_of_scripts_and_other_sites(client: Client) -> None:
    await sign_in(client)
    cookie = next(iter(client.session.cookie_jar))
    assert (cookie.key, cookie["httponly"], cookie["samesite"], cookie["path"]) == ("educenter", True, "Lax", "/")
    async with client.get("/api/me") as answer:
        assert (await answer.json())["user"]["email"] == "student02@demo.test"


def test_https_makes_the_cookie_secure_and_bound_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://Labs.example.org:443/")
    monkeypatch.setenv("DEMO", "off")
    found = setting.read()
    assert found.origins == {"https://labs.example.org"}
    assert auth.cookie_name(found) == "__Host-educenter"
    assert auth.storage(found, application.make_redis(found)).cookie_params["secure"] is True


def test_a_front_end_that_is_not_built_is_said(tmp_path: Path) -> None:
    bundle: Any = pages.Bundle(tmp_path)
    with pytest.raises(Unavailable, match="front end"):
        bundle.script("lab")
    assert list(tmp_path.iterdir()) == []
