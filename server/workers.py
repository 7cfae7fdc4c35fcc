"""Workers: instances that share one listening socket, and the parent that keeps their number. No loop and no thread here."""

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

MOST = 64
STOPS = frozenset({signal.SIGTERM, signal.SIGINT})
TOLD = STOPS | {signal.SIGCHLD}
TURN_S = 1.0
STOP_S = 25.0
"""A drain takes a second or two; the supervisor's SIGKILL comes after 30 s."""
SETTLED_S = 10.0
"""Who lived for so long is started again at once."""
PAUSES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Before a worker is started again, by how often in a row it died sooner."""
PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class _Place:
    """One worker's; its process is another after each death."""

    number: int
    pid: int | None = None
    began: float = 0.0
    due: float = 0.0
    failures: int = 0


class Workers:
    """`work` runs in each worker, on the inherited listener, and drains at SIGTERM."""

    def __init__(self, count: int, listener: socket.socket, work: Callable[[], object]) -> None:
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._listener = listener
        self._work = work

    def run(self) -> int:
        """Until SIGTERM or SIGINT; the exit status: 1 when a worker had to be killed."""
        signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
        log.info("workers_started", workers=len(self._places), pid=os.getpid())
        while True:
            for place in self._places:
                if place.pid is None and time.monotonic() >= place.due:
                    self._start(place)
            told = signal.sigtimedwait(TOLD, TURN_S)
            self._reap()
            if told is not None and told.si_signo in STOPS:
                return self._stop()

    def _start(self, place: _Place) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(parent)
        place.pid, place.began = pid, time.monotonic()
        log.info("worker_started", worker=place.number, pid=pid)

    def _become(self, parent: int) -> None:
        """The child's whole life; never returns."""
        try:
            _drain_without(parent)
            # A terminal's Ctrl-C goes to the parent alone, which passes it on once.
            os.setpgid(0, 0)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
            self._work()
            os._exit(0)
        except BaseException:
            log.exception("worker_failed", pid=os.getpid())
            raise
        finally:
            sys.stdout.flush()
            os._exit(1)

    def _reap(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if place.pid is None:
                continue
            ended, status = os.waitpid(place.pid, os.WNOHANG)
            if not ended:
                continue
            lived = now - place.began
            place.failures = 0 if lived > SETTLED_S else place.failures + 1
            pause = PAUSES_S[min(place.failures, len(PAUSES_S) - 1)]
            how = {"status": os.waitstatus_to_exitcode(status), "lived_s": round(lived, 1), "pause_s": pause}
            log.warning("worker_ended", worker=place.number, pid=place.pid, **how)
            place.pid, place.due = None, now + pause

    def _stop(self) -> int:
        # What still listened here would take connections that nobody accepts.
        self._listener.close()
        log.info("workers_draining", workers=len(self._living()))
        for pid in self._living():
            # Not reaped yet, so the pid is still its own.
            os.kill(pid, signal.SIGTERM)
        limit = time.monotonic() + STOP_S
        while self._living() and time.monotonic() < limit:
            signal.sigtimedwait({signal.SIGCHLD}, TURN_S)
            self._reap()
        stuck = self._living()
        for pid in stuck:
            log.error("worker_killed", pid=pid, reason=f"not drained in {STOP_S:.0f} s")
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        log.info("workers_ended")
        return 1 if stuck else 0

    def _living(self) -> list[int]:
        return [place.pid for place in self._places if place.pid is not None]


def _drain_without(parent: int) -> None:
    """The kernel sends SIGTERM when the parent is gone, however it went."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(0)
