"""Set-up steps: run as soon as what they need is done, each shown with what it did and how long it took."""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from deploy.commands import Failed
from deploy.world import say

WIDTH = 44  # columns for what a step did
STILL_SECONDS = 15.0  # between two signs of life of a long step


@dataclass(frozen=True)
class Step:
    """A named piece of work; `work` returns what it did, in a word or two."""

    name: str
    work: Callable[[], str]
    needs: tuple[str, ...] = ()


class Plan:
    """Steps and what each of them waits for."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, name: str, work: Callable[[], str], *needs: str) -> None:
        """Appends a step; it needs steps that were added before."""
        missing = set(needs) - {step.name for step in self.steps}
        if missing:
            raise ValueError(f"{name} needs unknown steps: {missing}")
        self.steps.append(Step(name, work, needs))

    def run(self) -> None:
        """Runs all of them, independent ones side by side; the first failure ends it when the running ones are done."""
        waiting, running, done = list(self.steps), dict[Future[str], tuple[Step, float]](), set[str]()
        failures: list[Failed] = []
        with ThreadPoolExecutor(max_workers=len(self.steps)) as threads:
            while True:
                ready = [step for step in waiting if done.issuperset(step.needs)] if not failures else []
                for step in ready:
                    waiting.remove(step)
                    running[threads.submit(step.work)] = (step, time.monotonic())
                if not running:
                    break
                finished, _ = wait(running, timeout=STILL_SECONDS, return_when=FIRST_COMPLETED)
                if not finished:
                    _still(list(running.values()))
                for future in finished:
                    step, began = running.pop(future)
                    failure = _told(step, future, time.monotonic() - began)
                    if failure:
                        failures.append(failure)
                    else:
                        done.add(step.name)
        if failures:
            todos = dict.fromkeys(failure.todo for failure in failures if failure.todo)
            raise Failed("\n".join(failure.why for failure in failures), "\n".join(todos))


def _told(step: Step, future: Future[str], seconds: float) -> Failed | None:
    error = future.exception()
    if error is None:
        say(f"  {step.name:<22} {future.result():<{WIDTH}} {seconds:6.1f} s")
        return None
    if not isinstance(error, Failed):
        if not isinstance(error, OSError):
            raise error
        error = Failed(f"{type(error).__name__}: {error}")
    say(f"  {step.name:<22} {'FAILED':<{WIDTH}} {seconds:6.1f} s")
    return Failed(f"{step.name}: {error.why}", error.todo)


def _still(running: list[tuple[Step, float]]) -> None:
    now = time.monotonic()
    say("  … " + ", ".join(f"{step.name} ({now - began:.0f} s)" for step, began in running))
