import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from environs import Env

from server.settings import BadSettings, Settings, read

Make = Callable[..., Settings]
ROOT = Path(__file__).parent.parent
GOOD = {
    "DATABASE_URL": "postgresql+asyncpg://a:b@host/db",
    "REDIS_URL": "redis://host/0",
    "LXD_URL": "/var/lib/lxd/unix.socket",
    "PUBLIC_URL": "https://labs.example.org",
    "SECRET_KEY": "k" * 32,
    "HOLDER_PATH": sys.executable,
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(**changes: str) -> Settings:
        for field in dataclasses.fields(Settings):
            monkeypatch.delenv(field.name.upper(), raising=False)
        for name, value in (GOOD | changes).items():
            monkeypatch.setenv(name, value)
        return read(Env())

    return make


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    listed = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(field.name.upper() for field in dataclasses.fields(Settings))


def test_good_settings_are_read(settings: Make) -> None:
    found = settings()
    assert found.database_url == "postgresql://a:b@host/db"
    assert (found.port, found.demo, found.secure) == (8000, False, True)
    assert found.origins == {"https://labs.example.org"}


def test_loopback_has_several_names(settings: Make) -> None:
    assert "http://localhost:8000" in settings(PUBLIC_URL="http://127.0.0.1:8000").origins


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"REDIS_URL": ""}, "REDIS_URL"),
        ({"LIMIT_MEMORY": "1 GB"}, "LIMIT_MEMORY"),
        ({"LIMIT_CPU": "0"}, "LIMIT_CPU"),
        ({"SWEEP_SECONDS": "0"}, "SWEEP_SECONDS"),
        ({"NETWORK_CLOSED": "10.77.0.0/20"}, "NETWORK_CLOSED"),
        ({"NETWORK_CLOSED": "8.8.8.1/20"}, "NETWORK_CLOSED"),
        ({"NETWORK_INTERNET": "10.77.0.1/20"}, "NETWORK_DNS"),
        ({"NETWORK_INTERNET": "10.77.0.1/20", "NETWORK_DNS": "10.0.0.1"}, "NETWORK_DNS"),
        ({"NETWORK_CLOSED": "10.77.0.1/20", "NETWORK_INTERNET": "10.77.1.1/24", "NETWORK_DNS": "9.9.9.9"}, "overlap"),
        ({"PROXY_PORT": "80"}, "PROXY_PORT"),
        ({"LXD_BRIDGE": "a-long-name"}, "LXD_BRIDGE"),
        ({"LIMIT_PROCESSES": "10"}, "LIMIT_PROCESSES"),
        ({"LIMIT_DISK": "big"}, "LIMIT_DISK"),
        ({"LIMIT_OUTPUT": "1000"}, "LIMIT_OUTPUT"),
        ({"LIMIT_OUTPUT": "fast"}, "LIMIT_OUTPUT"),
        ({"LXD_URL": "somewhere"}, "LXD_URL"),
        ({"LXD_URL": "https://host:8443"}, "LXD_CERT"),
        ({"PUBLIC_URL": "http://labs.example.org"}, "INSECURE_HTTP"),
        ({"PUBLIC_URL": "labs.example.org"}, "PUBLIC_URL"),
        ({"DEMO": "on"}, "DEMO"),
        ({"DEMO": "maybe"}, "DEMO"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"PORT": "http"}, "PORT"),
        ({"IDLE_FREEZE_MINUTES": "1"}, "IDLE_FREEZE_MINUTES"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ({"HOLDER_PATH": "/nowhere"}, "HOLDER_PATH"),
    ],
)
def test_a_wrong_setting_is_named(settings: Make, changes: dict[str, str], says: str) -> None:
    with pytest.raises(BadSettings, match=says):
        settings(**changes)


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-m", "server", "serve"]
    found = subprocess.run(run, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False, timeout=30)
    assert found.returncode == 2
    for name in ("DATABASE_URL", "REDIS_URL", "LXD_URL", "PUBLIC_URL", "SECRET_KEY", "HOLDER_PATH"):
        assert f"- {name}" in found.stderr
    assert "Traceback" not in found.stderr
