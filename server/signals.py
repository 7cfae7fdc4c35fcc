"""Signals: the first SIGTERM or SIGINT drains; those after it change nothing."""

import asyncio
import signal

import structlog
from aiohttp import web

log = structlog.get_logger(__name__)


class Signals:
    """Supervisors signal whole groups, parents pass on, people press Ctrl-C twice: no drain may be cut off by that."""

    def __init__(self) -> None:
        self._told = False

    async def listen(self, _app: web.Application) -> None:
        """In the loop that runs: before, uvloop would swallow a signal, so until now it simply ends the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._tell)

    def _tell(self) -> None:
        if self._told:
            log.info("signal_ignored", reason="draining already")
            return
        self._told = True
        raise web.GracefulExit
