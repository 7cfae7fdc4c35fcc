"""What the chaos shares: fleets that live as long as their module, whole again before each test."""

from collections.abc import Iterator

import pytest

from tests.chaos.fleet import Fleet


@pytest.fixture(scope="module")
def _pair(seeded: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet.opened(tmp_path_factory.mktemp("pair"), 2) as fleet:
        yield fleet


@pytest.fixture
def pair(_pair: Fleet) -> Fleet:
    _pair.complete()
    return _pair


@pytest.fixture(scope="module")
def _three(seeded: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet.opened(tmp_path_factory.mktemp("three"), 3) as fleet:
        yield fleet


@pytest.fixture
def three(_three: Fleet) -> Fleet:
    _three.complete()
    return _three
