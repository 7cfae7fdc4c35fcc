"""Lxd: the control plane, over pylxd in a bounded thread pool. The only folder that imports pylxd.

Knows instances, files, execs and bridges in one LXD project; knows nothing of sessions or terminals. The streams of an exec are
`terminals/link/exec.py`'s. Exec addresses carry secrets: they are never logged.
"""

from terminals.lxd.address import Address
from terminals.lxd.bridges import Bridges
from terminals.lxd.caller import Calls, Json
from terminals.lxd.hosts import Host, Hosts
from terminals.lxd.inside import ExecSockets, Inside
from terminals.lxd.instances import Instances
from terminals.lxd.project import Project
from terminals.lxd.sizes import size_in_bytes
from terminals.lxd.whereabouts import AWAY

__all__ = ["AWAY", "Address", "Calls", "ExecSockets", "Host", "Json", "Lxd", "size_in_bytes"]


class Lxd(Instances, Inside, Project, Hosts, Bridges):
    """One LXD project. Every method may raise `Unavailable` (no answer), `NotFound` and `Refused` (LXD's own reason)."""
