"""Heads: what a program sends to the proxy before its bytes pass: one CONNECT, read so strictly that it has one meaning. Pure."""

import re
from dataclasses import dataclass

from terminals.networks import NAME

MOST = 8192
"""Bytes."""
END = b"\r\n\r\n"
PORTS = {"80": 80, "443": 443}
"""As they are written, in one way."""
_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,2048}) HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}):[ \t]*[ -~\t]*")
_BODIES = (b"content-length", b"transfer-encoding")


class Refusal(Exception):
    """Why nothing passes; `name` as far as it may be told."""

    def __init__(self, status: int, code: str, message: str, name: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.name = name


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for; the name in small letters."""

    name: str
    port: int


def read(head: bytes) -> Target:
    """Of a whole head, its end included.

    Raises:
        Refusal: it isn't just a CONNECT to a name and one of `PORTS`.
    """
    first, *fields = head.removesuffix(END).split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise Refusal(400, "bad_head", "This is no request that the proxy understands")
    for field in fields:
        found = _FIELD.fullmatch(field)
        if found is None or found[1].lower() in _BODIES:
            raise Refusal(400, "bad_head", "This request's head could be read in two ways")
    if line[1] != b"CONNECT":
        raise Refusal(405, "method", "This lab's proxy only passes CONNECT: use an https address")
    return _target(line[2].decode())


def _target(authority: str) -> Target:
    name, _, port = authority.lower().rpartition(":")
    if not NAME.fullmatch(name):
        raise Refusal(403, "no_name", "This lab's proxy goes to host names only, and this is none")
    if port not in PORTS:
        raise Refusal(403, "port", f"This lab's proxy goes to the ports 443 and 80 only, not to that of {name}", name)
    return Target(name, PORTS[port])
