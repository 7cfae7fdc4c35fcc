"""Which holder is tested: the product, the same with ASan and UBSan, and the one for arm64. A pytest plugin of fixtures."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.holder_client import Holders

SOURCE = Path(__file__).parent.parent / "terminals" / "holder"
MAKE = {
    "product": ("holder",),
    "asan": ("holder-asan",),
    "arm64": ("holder", "CC=aarch64-linux-gnu-gcc"),
}
"""What make is asked for, and with what."""
GIVEN = os.environ.get("EDUCENTER_TEST_HOLDER")
"""A binary to test in the place of all of them."""
KILLED = re.compile(r"==\d+==Unable to get registers from thread \d+\.\n")
"""LeakSanitizer looked through a process at its exit while the test's end killed it."""


@dataclass(frozen=True)
class Build:
    """One build of the holder."""

    name: str
    path: Path

    @property
    def command(self) -> list[str]:
        """How it is run here. By name, for the machine need not know foreign binaries."""
        return ["/usr/bin/qemu-aarch64-static", str(self.path)] if self.name == "arm64" else [str(self.path)]


def on(*builds: str) -> pytest.MarkDecorator:
    """The builds that a test runs on; it runs on product and asan without this."""
    return pytest.mark.parametrize("build", ["product"] if GIVEN else builds, indirect=True)


@pytest.fixture(scope="session", params=["product"] if GIVEN else ["product", "asan"])
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    if GIVEN:
        return Build("product", Path(GIVEN).resolve())
    out = tmp_path_factory.mktemp(request.param)
    target, *settings = MAKE[request.param]
    environment = {**os.environ, "MAKEFLAGS": "", "MAKELEVEL": ""}
    command: list[str | Path] = ["make", "-s", "-C", SOURCE, f"OUT={out}", *settings, f"{out}/{target}"]
    subprocess.run(command, check=True, env=environment, timeout=110)
    return Build(request.param, out / target)


@pytest.fixture
def new_holders(build: Build, tmp_path: Path) -> Iterator[Callable[..., Holders]]:
    made: list[Holders] = []

    def new(**env: str) -> Holders:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Holders(build.command, folder, **env))
        return made[-1]

    yield new
    for holders in made:
        holders.end()
        # A holder has no stderr that anybody sees: what the sanitizers found lies here.
        assert [text for path in holders.findings.iterdir() if (text := KILLED.sub("", path.read_text()))] == []


@pytest.fixture
def holders(new_holders: Callable[..., Holders]) -> Holders:
    return new_holders()
