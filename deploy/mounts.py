"""Mounts and loop devices that lie in a folder of ours: what a killed LXD leaves behind."""

import os
from pathlib import Path

from deploy.commands import run, works


def below(folder: Path) -> list[Path]:
    """Mount points in the folder, innermost first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if Path(point).is_relative_to(folder):
            points.append(Path(point))
    return sorted(set(points), key=lambda point: len(point.parts), reverse=True)


def backing(device: str) -> Path | None:
    """The file behind /dev/loopN."""
    try:
        return Path((Path("/sys/block") / Path(device).name / "loop/backing_file").read_text().strip())
    except OSError:
        return None


def loops(folder: Path) -> list[Path]:
    """Loop devices whose file lies in the folder."""
    found = []
    for device in Path("/sys/block").glob("loop*"):
        file = backing(device.name)
        if file is not None and file.is_relative_to(folder):
            found.append(Path("/dev") / device.name)
    return found


def release(folder: Path) -> None:
    """Unmounts and detaches all of it. A loop device goes when its last mount does, in whatever namespace that is."""
    folder = Path(os.path.realpath(folder))
    for _ in range(5):  # a mount can lie on a mount
        for point in below(folder):
            works("umount", point) or works("umount", "-l", point)
        if not below(folder):
            break
    for device in loops(folder):
        run("losetup", "-d", device)
