"""LXD over https with a certificate for one project: labs work, and whoever steals the key gets nothing of the host."""

import hashlib
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.certificates import certificate
from tests.client import PASSWORD, User
from tests.conftest import ROOT, Server, free_port
from tests.house import House

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    made = House("restricted")
    made.remove()
    try:
        made.furnish()
        yield made
    finally:
        made.remove()


def settings(house: House, port: int, pair: tuple[str, str]) -> dict[str, str]:
    cert, key = pair
    pinned = str(house.folders["lxd"] / "server.crt")
    own = {"LXD_URL": f"https://127.0.0.1:{port}", "LXD_CERT": cert, "LXD_KEY": key, "LXD_SERVER_CERT": pinned}
    return {**house.settings, **own, "DOOR_DIR": ""}


def command(server: Server, *words: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "server", *words],
        cwd=ROOT,
        env={**server.settings, **changes},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


async def test_a_lab_works_and_the_key_is_good_for_nothing_else(
    house: House, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    port = free_port()
    house.lxc("config", "set", "core.https_address", f"127.0.0.1:{port}")
    pair = certificate(tmp_path, "educenter")
    server = make_server(**settings(house, port, pair))
    refused = command(server, "lxd", "setup")
    assert (refused.returncode, "doesn't trust this server's certificate" in refused.stderr) == (1, True)
    by_socket = {"LXD_URL": house.settings["LXD_URL"]}
    trusted = command(server, "lxd", "setup", "--trust", pair[0], **by_socket)
    assert (trusted.returncode, "trusted" in trusted.stdout) == (0, True), trusted.stderr
    assert "trusted" not in command(server, "lxd", "setup", "--trust", pair[0], **by_socket).stdout
    assert command(server, "lxd", "setup", "--trust", str(tmp_path / "none"), **by_socket).returncode == 2
    again = command(server, "lxd", "setup")
    assert again.returncode == 0, again.stderr

    server.start()
    async with User(server.url, "student01@demo.test") as student:
        await student.sign_in(PASSWORD)
        session = await student.start("tiny-system")
        async with student.page(await student.first_terminal(session)) as page:
            await page.type("echo $((6*7))\r")
            await page.expect("\n42")
        container = next(name for name in house.lxc("list", "-c", "n", "-f", "csv").split() if name.startswith("c-"))
        attack(house, f"https://127.0.0.1:{port}", pair, container)
        await student.end(session)


def attack(house: House, url: str, pair: tuple[str, str], container: str) -> None:
    """With the stolen key: everything that leads out of the project, or from it to the host."""
    der = ssl.PEM_cert_to_DER_cert(Path(pair[0]).read_text())
    own = f"/1.0/certificates/{hashlib.sha256(der).hexdigest()}"
    project, pinned = house.project, str(house.folders["lxd"] / "server.crt")

    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = requests.request(method, url + path, json=body, cert=pair, verify=pinned, timeout=20)
        told = answer.json()
        if answer.status_code == 202:
            wait = f"{url}{told['operation'].partition('?')[0]}/wait?timeout=20&project={project}"
            ended = requests.get(wait, cert=pair, verify=pinned, timeout=30).json()
            return ended["metadata"]["status_code"], ended["metadata"]["err"]
        return answer.status_code, told.get("error") or told.get("metadata")

    status, names = ask("GET", f"/1.0/instances?project={project}")
    assert (status, f"/1.0/instances/{container}?project={project}" in names) == (200, True)
    for path in ("/1.0/instances?project=default", "/1.0/certificates", "/1.0/storage-pools/educenter/volumes"):
        status, told = ask("GET", path)
        # Of certificates it sees its own.
        assert status == 403 or told in ([], [own]), (path, told)
    for method, path, body in (
        ("PATCH", f"/1.0/projects/{project}", {"config": {"restricted": "false"}}),
        ("POST", "/1.0/projects", {"name": "mine"}),
        ("PATCH", "/1.0", {"config": {"core.trust_password": "x"}}),
        ("POST", "/1.0/storage-pools", {"name": "mine", "driver": "dir"}),
        ("POST", "/1.0/certificates", {"type": "client", "name": "mine"}),
    ):
        # 400 where LXD looks at the body first.
        assert ask(method, path, body)[0] in (400, 403), path
    for bad in (
        {"config": {"security.privileged": "true"}},
        {"config": {"security.nesting": "true"}},
        {"config": {"raw.lxc": "lxc.mount.entry=/ mnt none bind 0 0"}},
        {"config": {"raw.idmap": "both 0 0"}},
        {"devices": {"host": {"type": "disk", "source": "/", "path": "/mnt"}}},
        {"devices": {"mem": {"type": "unix-char", "source": "/dev/mem"}}},
    ):
        status, told = ask("PATCH", f"/1.0/instances/{container}?project={project}", bad)
        assert status >= 400, (bad, status, told)
        assert "forbidden" in told or "Invalid" in told or "not allowed" in told, (bad, told)
    (line,) = [line for line in house.lxc("config", "trust", "list", "-f", "csv").splitlines() if "client" in line]
    trusted = yaml.safe_load(house.lxc("config", "trust", "show", hashlib.sha256(der).hexdigest()[:12]))
    assert (trusted["restricted"], trusted["projects"]) == (True, [project]), line
