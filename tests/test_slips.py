"""What LXD says when a copy of a template met its own slip, and what it says when that can't be helped by trying again."""

import json

import pytest
import requests
from pylxd.exceptions import LXDAPIException

from terminals.errors import NotFound, Refused, TerminalsError, Unavailable
from terminals.lxd import AWAY, Address, Lxd
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


@pytest.mark.parametrize(
    ("words", "kind", "code"),
    [
        ("Instance not found", NotFound, "not_found"),
        ("Failed getting source instance: Instance not found", Refused, "lxd_refused"),
        ("Missing event connection with target cluster member", Unavailable, AWAY),
        (
            'Post "https://n2:8443/1.0/instances": Unable to connect to: n2:8443 ([dial tcp: refused])',
            Unavailable,
            AWAY,
        ),
        ("Cluster member is evacuated", Unavailable, AWAY),
        ("not authorized", Unavailable, "unavailable"),
        ("Failed to run: forkstart c-1: exit status 1", Refused, "lxd_refused"),
    ],
)
def test_what_an_operation_ended_with_is_told_by_its_kind(words: str, kind: type[TerminalsError], code: str) -> None:
    response = requests.Response()
    response.status_code, response._content = 200, json.dumps({"metadata": {"err": words}}).encode()
    found = Lxd(Address("/nowhere"), "none")._refusal(LXDAPIException(response), "c-1")
    assert (type(found), found.code) == (kind, code)
