"""Sizes as LXD writes them."""

import re


def size_in_bytes(size: str) -> int:
    """Of a size as LXD writes it ("4GiB", "512MB", "1048576"); 0 for none."""
    found = re.fullmatch(r"(\d+) ?([kKMGT]?)(i?)B?", size.strip())
    if found is None:
        return 0
    number, prefix, binary = found.groups()
    unit = (1024 if binary else 1000) ** ("KMGT".index(prefix.upper()) + 1 if prefix else 0)
    return int(number) * int(unit)
