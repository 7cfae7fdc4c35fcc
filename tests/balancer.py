"""Balancer: a real nginx before the tests' instances, with production's own configuration, moved to loopback."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy import processes
from tests.conftest import ROOT, free_port

PRODUCTION = ROOT / "deploy" / "nginx"
PROGRAM = "/usr/sbin/nginx"
MARK = "EDUCENTER_BALANCER"
"""In its environment: the pid of the test run that started it."""
START_S = 10.0
STOP_S = 5.0


class Balancer:
    """`with` it; new connections go round the ports. One process, so that one pid is all there is to end.

    `certificate`: a folder of fullchain.pem and privkey.pem, for https; `plain_port` sends to it. `master`: with a worker beside
    it, as in production, so that it can `reload`.
    """

    def __init__(
        self, folder: Path, ports: Sequence[int], certificate: Path | None = None, *, master: bool = False
    ) -> None:
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}" if certificate else f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._ports = ports
        self._certificate = certificate
        self._processes = "user root;\nworker_processes 1;" if master else "master_process off;"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        _sweep()
        for name in ("temporary", "srv"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        path = self._configure()
        command = [PROGRAM, "-p", str(self._folder), "-c", str(path), "-e", str(self.errors)]
        environment = {**os.environ, MARK: str(os.getpid())}
        nothing = subprocess.DEVNULL
        self._process = subprocess.Popen(command, env=environment, stdin=nothing, stdout=nothing, stderr=nothing)
        limit = time.monotonic() + START_S
        while not self._listens():
            assert self._process.poll() is None, f"nginx ended: {self.errors.read_text()}"
            assert time.monotonic() < limit, f"nginx doesn't listen: {self.errors.read_text()}"
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_S)

    def reload(self) -> None:
        """The command of docs/operations.md."""
        main = self._folder / ("tls.conf" if self._certificate else "plain.conf")
        command = [PROGRAM, "-p", str(self._folder), "-c", str(main), "-e", str(self.errors), "-s", "reload"]
        subprocess.run(command, check=True, capture_output=True, timeout=START_S)

    def workers(self) -> list[int]:
        """The pids of its workers, also of those that only see their connections to the end."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    @property
    def errors(self) -> Path:
        return self._folder / "nginx.log"

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _configure(self) -> Path:
        """Production's rules; only where things lie is another, and the instances are a list, as docs/operations.md says."""
        # An instance that refuses costs one refused connect; one that is left out for a while would be missed when it is back.
        servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in self._ports)
        one = (
            (r"^pid .*$", f"pid {self._folder}/nginx.pid;\ndaemon off;\n{self._processes}"),
            (r"^worker_processes .*$", ""),
            (r"^error_log .*$", f"error_log {self.errors} warn;"),
            (r"worker_connections 16384;", "worker_connections 4096;"),
        )
        plain = (*one, (r"listen 80;", f"listen 127.0.0.1:{self.port};"))
        tls = (
            *one,
            (r"listen 80;", f"listen 127.0.0.1:{self.plain_port};"),
            (r"listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            (r"/run/tls/", f"{self._certificate}/"),
            (r"/srv/acme;", f"{self._folder}/acme;"),
        )
        http = (
            (r"^(\w+_temp_path) /tmp/(\w+);$", rf"\1 {self._folder}/temporary/\2;"),
            (r"access_log /dev/stdout json;", f"access_log {self._folder}/access.log json;"),
            (r"^resolver 127.*$", f"upstream instances {{ {servers} }}"),
            (r"^resolver_timeout .*$", ""),
        )
        site = (
            (r"^set \$instances .*$", ""),
            (r"http://\$instances", "http://instances"),
            (r"root /srv;", f"root {self._folder}/srv;"),
        )
        main = "tls.conf" if self._certificate else "plain.conf"
        for name, changes in ((main, tls if self._certificate else plain), ("http.conf", http), ("site.conf", site)):
            text = (PRODUCTION / name).read_text()
            for pattern, by in changes:
                text, found = re.subn(pattern, by, text, flags=re.MULTILINE)
                assert found, f"{PRODUCTION / name} has no {pattern}"
            (self._folder / name).write_text(text)
        return self._folder / main


def _sweep() -> None:
    """Ends those whose test run is dead."""

    def left(found: processes.Process) -> bool:
        run = found.variable(MARK) if found.program == "nginx" else None
        return run is not None and not Path(f"/proc/{run}").exists()

    processes.stop(left, STOP_S)
