"""Peer: the far end of one terminal's socket as Channel sees it: a browser here, or one that another instance passes on."""

from collections.abc import Iterable
from typing import Protocol

from aiohttp import WSMessage

from terminals.link.wire import Taker

GONE = (TimeoutError, ConnectionError)
"""What sending raises when the other end went away."""


class Peer(Protocol):
    """`Browser` says what each means."""

    async def receive(self) -> WSMessage: ...

    def hand_to(self, taker: Taker) -> None: ...

    def hold(self) -> None: ...

    def release(self) -> None: ...

    def send_now(self, messages: Iterable[bytes | str]) -> bool: ...

    async def send(self, messages: Iterable[bytes | str]) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...

    def abort(self) -> None: ...
