"""Finding: what one check found, and what to do; and how checks are run: each within its time, none hides another."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass

from terminals.errors import TerminalsError

OK, WARNING, WRONG = "ok", "warning", "wrong"
WAIT_S = 6.0
"""For the next finding of a check."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    check: str
    state: str
    found: str
    todo: str = ""


Check = Callable[[], AsyncGenerator[Finding, None]]
"""Yields its findings one by one, each within `WAIT_S`, or its own time; what it doesn't come to is said to be unknown."""


def ok(check: str, found: str) -> Finding:
    """As it should be."""
    return Finding(check, OK, found)


def warning(check: str, found: str, todo: str) -> Finding:
    """It works, and there is something to know or to mend."""
    return Finding(check, WARNING, found, todo)


def wrong(check: str, found: str, todo: str) -> Finding:
    """It doesn't work, or somebody will be harmed."""
    return Finding(check, WRONG, found, todo)


@dataclass(frozen=True, slots=True)
class Topic:
    """Checks that make sense only one after the other."""

    name: str
    check: Check
    wait_s: float = WAIT_S


def blocking(look: Callable[[], Iterable[Finding]]) -> Check:
    """A check that reads files: beside the others, for a file may lie on a dead disk."""

    async def check() -> AsyncGenerator[Finding, None]:
        for finding in await asyncio.to_thread(lambda: list(look())):
            yield finding

    return check


async def examine(topics: Sequence[Topic]) -> list[Finding]:
    """All at the same time, told in their order."""
    found = await asyncio.gather(*(_examine(topic) for topic in topics))
    return [finding for each in found for finding in each]


async def _examine(topic: Topic) -> list[Finding]:
    found: list[Finding] = []
    try:
        async with aclosing(topic.check()) as findings:
            while True:
                async with asyncio.timeout(topic.wait_s):
                    found.append(await anext(findings))
    except StopAsyncIteration:
        pass
    except TimeoutError:
        todo = "if it hangs (overloaded, stopped, its disk dead), start it anew; if it is far, does a firewall swallow packets?"
        found.append(wrong(topic.name, f"no answer in {topic.wait_s:.0f} s; what comes next wasn't looked at", todo))
    except TerminalsError as error:
        found.append(
            wrong(topic.name, f"{error.message} ({error.code}); what comes next wasn't looked at", "see above")
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was found
        words = f"{type(error).__name__}: {error}; what comes next wasn't looked at"
        found.append(wrong(topic.name, words, "this is no fault that the doctor knows: report it with these words"))
    return found


def table(findings: Sequence[Finding]) -> str:
    """For people: one line per finding, what to do below it."""
    width = max(len(finding.check) for finding in findings)
    lines = []
    for each in findings:
        lines.append(f"{each.state:<8} {each.check:<{width}}  {each.found}")
        if each.todo:
            lines.append(f"{'':<8} {'':<{width}}  → {each.todo}")
    counts = {state: sum(each.state == state for each in findings) for state in (OK, WARNING, WRONG)}
    lines.append("")
    lines.append(", ".join(f"{count} {state}" for state, count in counts.items()))
    return "\n".join(lines)


def machine_readable(findings: Sequence[Finding]) -> str:
    """JSON."""
    return json.dumps({"ok": not failed(findings), "findings": [asdict(each) for each in findings]}, indent=2)


def failed(findings: Sequence[Finding]) -> bool:
    """Whether anything is wrong."""
    return any(each.state == WRONG for each in findings)
