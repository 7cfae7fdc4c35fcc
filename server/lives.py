"""Lives: how long a lab is kept, as the API says it to its student and to instructors."""

from typing import Any

from terminals.school.keeping import Lifetime


def shown_lifetime(kept: Lifetime | None) -> dict[str, Any]:
    """How long a session is kept; None: it isn't live."""
    if kept is None:
        return {"rest": "awake", "deadline": None, "idle": None}
    return {
        "rest": kept.rest,
        "deadline": {"seconds_left": kept.seconds_left, "extendable_to": kept.extendable_to},
        "idle": {"seconds_left": kept.idle_seconds, "then": kept.then},
    }
