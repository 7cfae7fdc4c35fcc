"""Messages: the JSON that a terminal tells its browsers (docs/protocol.md). Pure."""

from typing import Any

from terminals.link.frames import Exit, Status

Message = dict[str, Any]


def attached(birth: bytes | None, live: int, last_seq: int, role: str, size: tuple[int, int]) -> Message:
    """The answer to attach; the edge's ticket is added by who has it."""
    return {
        "type": "attached",
        "birth": (birth or b"").hex(),
        "live": live,
        "last_seq": last_seq,
        "role": role,
        "cols": size[0],
        "rows": size[1],
    }


def status(found: Status) -> Message:
    return {
        "type": "status",
        "shell": found.shell,
        "command": found.command,
        "alternate": found.alternate,
        "bracketed_paste": found.bracketed_paste,
        "echo": found.echo,
        "others": found.others,
    }


def exit_(ended: Exit) -> Message:
    return {"type": "exit", "code": ended.code, "offset": ended.offset}


def nak(expected: int, reason: int) -> Message:
    """`reason` as in the holder's N frame."""
    return {"type": "nak", "expected": expected, "reason": {2: "unknown", 3: "full"}.get(reason, "order")}


def observer() -> Message:
    return {"type": "role", "role": "observer", "reason": "elsewhere"}


def role(name: str, reason: str, last_seq: int) -> Message:
    """To somebody who watches: may type from now on (`last_seq` as in `attached`), or may not, and why."""
    if name == "assistant":
        return {"type": "role", "role": name, "last_seq": last_seq}
    return {"type": "role", "role": name, "reason": reason}


def watchers(people: list[Message]) -> Message:
    """`people`: `{id, name, since, asks, types}` each, since in unix seconds."""
    return {"type": "watchers", "watchers": people}


def size(cols: int, rows: int) -> Message:
    return {"type": "size", "cols": cols, "rows": rows}


def progress(step: str) -> Message:
    return {"type": "progress", "step": step}


def detached() -> Message:
    return {
        "type": "detached",
        "message": "The path to your container is being made again; your programs keep running.",
    }


def lost(message: str) -> Message:
    return {"type": "lost", "message": message}
