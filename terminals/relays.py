"""Relays: the owner's side of watching from other instances: one relay and its task for each terminal that is watched there."""

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any, cast

import structlog

from terminals.fleet.feeds import Feeds
from terminals.fleet.relay import Relay
from terminals.link import frames
from terminals.person import Person
from terminals.terminal import Terminal

log = structlog.get_logger(__name__)

MOST_PEOPLE = 64
"""Who watches through one instance, as far as it is told on."""


class Relays:
    """Made when another instance asks, ended when none asks any more."""

    def __init__(self, feeds: Feeds, find: Callable[[str], Terminal | None]) -> None:
        self._feeds = feeds
        self._find = find
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """Terminal → the task of its relay."""
        feeds.on("watch", self._watch)
        feeds.on("unwatch", self._unwatch)
        feeds.on("input", self._input)

    def tick(self) -> None:
        """Every 2 s: who doesn't ask any more is forgotten."""
        for name in list(self._tasks):
            terminal = self._find(name)
            relay = terminal.sinks.relay if terminal else None
            if terminal is not None and relay is not None and not relay.wanted(time.monotonic()):
                log.info("relay_ended", terminal=name)
                terminal.sinks.remove_relay()
                self._tasks.pop(name).cancel()

    async def drop(self, name: str, relay: Relay | None) -> None:
        """The terminal is let go: who watches it elsewhere looks for its next owner."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if relay is not None:
            await relay.end()

    def _watch(self, message: dict[str, object]) -> None:
        name, instance = str(message["terminal"]), str(message["instance"])
        terminal = self._find(name)
        if terminal is None:
            self._feeds.tell(instance, "gone", terminal=name)
            return
        relay = terminal.sinks.relay
        if relay is None:
            relay = Relay(self._feeds, name, terminal.begin_relay)
            terminal.add_relay(relay)
            self._tasks[name] = asyncio.create_task(relay.run(), name=f"relay-{name}")
            log.info("relay_begun", terminal=name)
        told = cast("list[dict[str, Any]]", message["people"])[:MOST_PEOPLE]
        relay.watch(instance, [Person(**each) for each in told], fresh=bool(message["fresh"]))
        terminal.tell_watchers()

    def _input(self, message: dict[str, object]) -> None:
        """Of somebody who types on another instance; what was meant for another owner is dropped, for its page sends it again."""
        terminal = self._find(str(message["terminal"]))
        if terminal is None or message["epoch"] != terminal.claim.epoch:
            return
        body = base64.b64decode(str(message["frame"]))
        writer, seq = frames.read_pair(body)
        terminal.assist(writer, seq, body[frames.INPUT_HEAD :])

    def _unwatch(self, message: dict[str, object]) -> None:
        terminal = self._find(str(message["terminal"]))
        if terminal is not None and terminal.sinks.relay is not None:
            terminal.sinks.relay.unwatch(str(message["instance"]))
            terminal.tell_watchers()
