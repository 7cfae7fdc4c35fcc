"""Hangs: an LXD that answers nothing any more, for good, which 5.0.2 does now and then under hours of tests. A pytest plugin.

What fails meanwhile says nothing about us. So it is started anew, for the tests to come, and it is written down: `make test` runs
once more what failed in such a run.
"""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from deploy import lxd
from deploy.lock import locked

SILENCES = 3
"""So often asked, each time for as long as a set-up waits for an answer."""
WRITTEN = os.environ.get("EDUCENTER_HANGS")
"""The file in which each is a line."""
FOLDER = Path(os.environ["LXD_URL"]).parent
ROOT = Path(__file__).parent.parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """After a failure, where the test ran."""
    report = yield
    if report.failed and mend(FOLDER) and WRITTEN:
        with Path(WRITTEN).open("a") as file:
            file.write(f"{item.nodeid}\n")
    return report


def mend(folder: Path) -> bool:
    """Starts this folder's LXD anew if it is silent though its process is there; its containers run on. Whether it was."""
    if not _hung(folder):
        return False
    with locked(folder.parent / "hang.lock", "starting a hung LXD anew"):
        if _hung(folder):  # else another lane was first
            command = (sys.executable, "-m", "deploy", "start", "lxd", str(folder))
            subprocess.run(command, cwd=ROOT, check=True, timeout=180)
    return True


def _hung(folder: Path) -> bool:
    return lxd.running(folder) and not any(lxd.answers(lxd.url(folder)) for _ in range(SILENCES))
