"""Events: what LXD does to instances, told as it happens. A hint to look, never the only word: what is missed is swept up."""

import json
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from websockets.exceptions import WebSocketException

from terminals.errors import Cut
from terminals.link.streams import CLOSE_TIMEOUT_S, opening
from terminals.lxd import Address

MESSAGE_LIMIT, WAITING = 262_144, 64
"""Bytes of an event, and events that may wait here; then LXD's socket isn't read any further."""
PING_S = 15
INSTANCES = "/1.0/instances/"


@dataclass(frozen=True, slots=True)
class Event:
    """`action` as LXD calls it, without its `instance-`: stopped, paused, deleted and more."""

    action: str
    instance: str


@asynccontextmanager
async def events(address: Address, project: str) -> AsyncIterator[AsyncIterator[Event]]:
    """Of a project's instances, those on other members of a cluster, too; it ends when LXD closes.

    Raises:
        Cut: LXD can't be reached, or the socket broke.
    """
    path = f"/1.0/events?type=lifecycle&project={quote(project, safe='')}"
    try:
        async with opening(address, path)(
            compression=None,
            proxy=None,
            open_timeout=5,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            max_size=MESSAGE_LIMIT,
            max_queue=WAITING,
        ) as socket:
            yield _read(socket)
    except (OSError, TimeoutError, WebSocketException) as error:
        raise Cut("LXD's events broke off") from error


async def _read(socket: AsyncIterable[str | bytes]) -> AsyncIterator[Event]:
    async for message in socket:
        event = read(message)
        if event is not None:
            yield event


def read(message: str | bytes) -> Event | None:
    """None: it isn't about an instance."""
    try:
        about = json.loads(message)["metadata"]
        action, path = str(about["action"]), urlsplit(str(about["source"])).path
    except (ValueError, KeyError, TypeError):
        return None
    if not action.startswith("instance-") or not path.startswith(INSTANCES):
        return None
    return Event(action.removeprefix("instance-"), unquote(path.removeprefix(INSTANCES)).partition("/")[0])
