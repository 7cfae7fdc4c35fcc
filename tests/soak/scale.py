"""Scale: how much of the soak is run: all of it by `make soak`, a tenth by `make test`."""

import os


def times(count: int) -> int:
    return max(1, round(count * float(os.environ.get("SOAK", "0.1"))))
