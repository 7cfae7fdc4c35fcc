"""Lanes: where files of tests run side by side, each worker of pytest-xdist has a world of its own."""

import json
import os


def enter() -> None:
    """Into this worker's world, before anything reads where the services are; nowhere when all runs in one process."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        os.environ.update(json.loads(os.environ["EDUCENTER_LANES"])[int(worker.removeprefix("gw"))])
