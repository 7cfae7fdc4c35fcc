"""Clock: this host's against a service's. Rows are written by both, and labs are kept by the difference."""

import time
from collections.abc import Awaitable, Callable

from server.doctor.finding import Finding, ok, warning, wrong

NOTABLE_S, HARMFUL_S = 1.0, 5.0


async def compare(service: str, theirs: Callable[[], Awaitable[float]], clock: Callable[[], float]) -> Finding:
    """Half of the way there and back counts for nobody."""
    check = f"clock of {service}"
    began = clock()
    waiting = time.monotonic()
    at = await theirs()
    way = time.monotonic() - waiting
    skew = at - (began + way / 2)
    words = f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this host's"
    todo = "keep both hosts on NTP (chrony, systemd-timesyncd): deadlines and sign-ins go by these clocks"
    if abs(skew) - way / 2 > HARMFUL_S:
        return wrong(check, words, todo)
    if abs(skew) - way / 2 > NOTABLE_S:
        return warning(check, words, todo)
    return ok(check, f"within {abs(skew) + way / 2:.3f} s of this host's")
