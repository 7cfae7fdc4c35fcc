"""Debian's packages: what a machine needs, and installing what is missing."""

import shutil
import subprocess
from pathlib import Path

from deploy.commands import Failed, run

RUN = (
    *("lxd", "lxd-client", "lxcfs", "btrfs-progs", "uidmap", "acl", "attr", "squashfs-tools", "iproute2", "nftables"),
    *("dnsmasq-base", "postgresql-15", "redis-server", "mmdebstrap", "gcc", "libc6-dev", "make", "python3-venv"),
    "ca-certificates",
)
TEST = (
    *(*RUN, "chromium", "fonts-dejavu-core", "fonts-noto-cjk", "fonts-noto-color-emoji"),
    *(
        "git",
        "nginx-light",
        "prometheus",
        "clang",
        "libclang-rt-14-dev",
        "gcc-aarch64-linux-gnu",
        "libc6-dev-arm64-cross",
        "qemu-user-static",
    ),
)
LINT = ("python3-venv", "ca-certificates", "git", "gcc", "libc6-dev", "make", "clang", "clang-tidy", "cppcheck")
FREE_BYTES = 6 << 30  # packages, environment, image twice (tar and pool), a first class


def install(wanted: tuple[str, ...], state: Path) -> str:
    """Installs what is missing; touches neither apt nor the network when nothing is."""
    _check_disk(state)
    missing = [name for name in wanted if name not in _installed(wanted)]
    if not missing:
        return "all there"
    apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    run(*apt, "update", env=quiet, todo="check the network and /etc/apt/sources.list*")
    command = (*apt, "install", "-y", "--no-install-recommends", *missing)
    run(*command, env=quiet, todo="try it by hand: apt-get install " + " ".join(missing))
    return f"installed {len(missing)}: {', '.join(missing)}" if len(missing) < 4 else f"installed {len(missing)}"  # noqa: PLR2004


def _installed(names: tuple[str, ...]) -> set[str]:
    if shutil.which("dpkg-query") is None:
        raise Failed("this is no Debian: dpkg-query is missing", "use Debian 12, or docker compose")
    # It fails when a name is unknown, which is no error here.
    ask = ("dpkg-query", "-W", "-f", r"${Package} ${db:Status-Status}\n", *names)
    shown = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
    return {line.split()[0] for line in shown.splitlines() if line.endswith(" installed")}


def _check_disk(state: Path) -> None:
    free = shutil.disk_usage(state).free
    if free < FREE_BYTES:
        raise Failed(
            f"{free / (1 << 30):.1f} GiB are free where {state} lies; {FREE_BYTES >> 30} GiB are needed",
            "make room, or set EDUCENTER_STATE to a path on a bigger disk",
        )
