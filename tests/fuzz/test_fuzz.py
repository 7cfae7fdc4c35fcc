import subprocess
import sys

import pytest

from tests.conftest import ROOT

SECONDS = 20


@pytest.mark.timeout(SECONDS + 300)
def test_no_bytes_from_a_container_or_a_browser_do_more_than_be_refused() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(SECONDS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS + 280, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("no finding") == 4
