"""Bodies: the JSON that a request brings, checked for what the store can't hold."""

import json
from typing import Any

from aiohttp import web

from terminals.errors import Invalid


async def read_body(request: web.Request) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Invalid: it isn't one.
    """
    try:
        found = await request.json()
    except (ValueError, RecursionError) as error:
        raise Invalid("The body isn't JSON") from error
    if not isinstance(found, dict):
        raise Invalid("The body isn't a JSON object")
    try:
        text = json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Invalid("The body holds half a character") from error
    if b"\\u0000" in text:
        raise Invalid("The body holds a NUL character")
    return found
