"""Coverage-guided fuzzing, a minute of the holder and less of the server, from kept inputs: no crash, hang or broken rule."""

from pathlib import Path

import pytest

from tests.fuzz import holder as targets
from tests.fuzz import server

SECONDS = 60
"""For the holder, in all."""
SERVER_SECONDS = 4
"""For each of the server's targets."""


@pytest.mark.timeout(SERVER_SECONDS + 120)
@pytest.mark.parametrize("target", server.NAMES)
def test_no_bytes_from_a_container_or_a_browser_do_more_than_be_refused(target: str) -> None:
    assert server.fuzz(target, SERVER_SECONDS) == 0


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fuzz")
    targets.build(out)
    return out


@pytest.mark.timeout(SECONDS + 240)  # whoever comes first builds them
@pytest.mark.parametrize("target", targets.SHARES)
def test_the_holder_stands_its_fuzz_targets(target: str, built: Path) -> None:
    share = targets.SHARES[target] / sum(targets.SHARES.values())
    result = targets.run(target, SECONDS * share, built)
    print(f"\n{result}")
    assert not result.crash
    assert result.executions > len(list(targets.kept(target).iterdir())), "it ended before it fuzzed"


def test_the_kept_corpus_is_small() -> None:
    files = [path for path in (targets.SOURCE / "fuzz" / "corpus").rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(targets.SHARES)
    assert sum(path.stat().st_size for path in files) < 200_000
