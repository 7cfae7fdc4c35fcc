"""What LXD says when a copy of a template met its own slip, and what it says when that can't be helped by trying again."""

import pytest

from terminals.lxd.instances import SLIP

PATH = "/var/lib/lxd/storage-pools/educenter/containers/educenter_template-8c002ebc4c20-6c7560fb37b4"


@pytest.mark.parametrize(
    ("message", "slipped"),
    [
        (f"Create instance from copy: lstat {PATH}/0000:00:00.0: no such file or directory", True),
        (f"Create instance from copy: readdirent {PATH}/rootfs: not a directory", True),
        (f"Create instance from copy: readdirent {PATH}: bad file descriptor", True),
        ("Create instance from copy: Failed creating volume: no space left on device", False),
        ("Failed getting source instance: Instance not found", False),
        ("Failed creating instance record: This instance already exists", False),
    ],
)
def test_a_slip_is_known(message: str, slipped: bool) -> None:
    assert bool(SLIP.search(f"LXD refused: {message} (container c-1)")) == slipped
