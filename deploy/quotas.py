"""Quotas: makes our storage pool count blocks by who wrote them (btrfs simple quotas).

LXD turns on btrfs' full quotas, which look at every owner of every block when a container is deleted: a few deleted
containers keep a core busy for minutes, and everybody's transactions wait. Simple quotas (Linux 6.7) charge a block to
the subvolume that wrote it and cost nothing. A limit then counts what a container writes, not its image.
"""

import fcntl
import os
import struct
from pathlib import Path

_QUOTA_CONTROL = 0xC0109428  # BTRFS_IOC_QUOTA_CTL of linux/btrfs.h: two u64, command and status
_DISABLE, _ENABLE_SIMPLE = 2, 4


def simplify(pool: Path) -> str:
    """`pool` is where the storage pool is mounted. Left alone while sessions have containers in it: limits are lost."""
    mode = _mode(pool)
    if mode in (None, "squota"):
        return "there"
    if mode and any("_s-" in path.name for path in (pool / "containers").iterdir()):
        return "full quotas stay while sessions run"
    folder = os.open(pool, os.O_RDONLY)
    try:
        if mode:
            fcntl.ioctl(folder, _QUOTA_CONTROL, struct.pack("QQ", _DISABLE, 0))
        try:
            fcntl.ioctl(folder, _QUOTA_CONTROL, struct.pack("QQ", _ENABLE_SIMPLE, 0))
        except OSError as error:
            # A kernel before 6.7. LXD turns its own quotas on as soon as it sets a limit.
            return f"full quotas: this kernel has no simple ones ({error.strerror})"
    finally:
        os.close(folder)
    return "simple"


def _mode(pool: Path) -> str | None:
    """How `pool` counts: "qgroup", "squota", "" for not at all; None where it isn't a mounted btrfs."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, source = right.split(" ")[:2]
        if kind == "btrfs" and left.split(" ")[4] == str(pool):
            members = Path("/sys/fs/btrfs").glob(f"*/devices/{Path(source).name}")
            modes = [found.parent.parent / "qgroups/mode" for found in members]
            return next((mode.read_text().strip() for mode in modes if mode.exists()), "")
    return None
