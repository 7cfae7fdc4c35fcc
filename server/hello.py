"""Hello: the browser's first message, and JSON messages in general, checked."""

import json
from dataclasses import dataclass

from terminals.link import frames
from terminals.link.frames import BadFrame


@dataclass(frozen=True, slots=True)
class Hello:
    """The client's first message."""

    writer: int
    role: str
    size: tuple[int, int]
    birth: bytes | None
    offset: int
    ticket: str | None


def read_json(text: str) -> dict[str, object]:
    """A client's JSON message.

    Raises:
        BadFrame: it isn't an object.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFrame("text that isn't JSON") from error
    if not isinstance(found, dict):
        raise BadFrame("JSON that isn't an object")
    return found


def read_hello(text: str) -> Hello:
    """The attach message, checked.

    Raises:
        BadFrame: says which field is wrong.
    """
    found = read_json(text)
    if found.get("type") != "attach":
        raise BadFrame("the first message must be attach")
    writer, birth = found.get("writer"), found.get("birth")
    if not isinstance(writer, str) or len(writer) != 16 or not (number := _hex(writer)):
        raise BadFrame("writer must be 16 hex digits, not all 0")
    if birth is not None and (not isinstance(birth, str) or len(birth) != 32 or _hex(birth) is None):
        raise BadFrame("birth must be null or 32 hex digits")
    role = found.get("role", "driver")
    if role not in ("driver", "observer"):
        raise BadFrame("role must be driver or observer")
    cols, rows, offset = found.get("cols"), found.get("rows"), found.get("offset", 0)
    if type(cols) is not int or type(rows) is not int:
        raise BadFrame("cols and rows must be whole numbers")
    if type(offset) is not int or not 0 <= offset < 2**63:
        raise BadFrame("offset must be a whole number")
    ticket = found.get("ticket")
    if ticket is not None and (not isinstance(ticket, str) or len(ticket) > 512):
        raise BadFrame("ticket must be null or the text that attached gave")
    return Hello(
        number, str(role), frames.check_size(cols, rows), bytes.fromhex(birth) if birth else None, offset, ticket
    )


def _hex(text: str) -> int | None:
    try:
        return int.from_bytes(bytes.fromhex(text))
    except ValueError:
        return None
