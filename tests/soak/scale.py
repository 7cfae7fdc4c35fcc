"""How much of a soak is run: all of it by `make soak` (SOAK=1), a tenth of it with the other tests."""

import os


def times(count: int) -> int:
    return max(1, round(count * float(os.environ.get("SOAK", "0.1"))))
