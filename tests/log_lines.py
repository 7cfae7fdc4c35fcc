"""Log lines: each is an object as docs/log-schema.json publishes it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

SCHEMA = Path(__file__).parent.parent / "docs" / "log-schema.json"


@cache
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SCHEMA.read_text())
    return found


@cache
def _valid() -> Any:
    return fastjsonschema.compile(schema())


def check_lines(text: bytes) -> None:
    for line in text.splitlines():
        try:
            _valid()(json.loads(line))
        except (ValueError, fastjsonschema.JsonSchemaException) as error:
            # A server's last words before it couldn't log any more tell what was wrong.
            raise AssertionError(f"{error}: {line[:2000].decode(errors='replace')}") from None
