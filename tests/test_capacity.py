"""Capacity: what hosts have room for, computed."""

import pytest

from terminals.capacity import GIB, UNKNOWN, Bounds, Member, Policy, places, room
from terminals.errors import Unavailable
from terminals.labs.admission import Admission, member
from terminals.lxd import Address, Host, Lxd
from terminals.store import Store

HOST = Member("one", cores=4, memory=16 * GIB, memory_used=4 * GIB, disk=30 * GIB, disk_used=10 * GIB)
ALLOWED = Policy(at_once=4)


def used(memory: float = 4, disk: float = 10, name: str = "one") -> Member:
    return Member(name, 4, 16 * GIB, round(memory * GIB), 30 * GIB, round(disk * GIB))


def test_memory_may_be_promised_more_than_once_and_labs_are_bounded_by_cores() -> None:
    found = room([HOST], ALLOWED)
    assert (found.memory, found.labs, found.shortage) == (32 * GIB, 200, "")
    assert room([HOST], Policy(4, labs=7)).labs == 7
    assert room([HOST], Policy(4, cores=0)).labs > 1_000_000
    assert room([HOST, HOST], ALLOWED).memory == 64 * GIB


def test_what_is_really_short_stops_what_was_not_promised() -> None:
    assert "1.0 GiB of disk free on one" in room([used(disk=29)], ALLOWED).shortage.replace("1 GiB", "1.0 GiB")
    assert "memory free on one" in room([used(memory=15.5)], ALLOWED).shortage
    small = Member("small", 4, 16 * GIB, 0, GIB, GIB // 2)
    assert room([small], ALLOWED).shortage == ""
    assert "512 MiB of disk free on small, and 600 MiB" in room([small], Policy(4, disk=600 << 20)).shortage
    # One host of two that is well is room enough.
    assert room([used(disk=29), used(name="two")], ALLOWED).shortage == ""
    both = room([used(disk=29), used(memory=15.9, name="two")], ALLOWED).shortage
    assert "on one" in both
    assert "on two" in both


def test_a_container_that_no_host_could_ever_hold_is_named_with_both_figures() -> None:
    found = room([HOST, HOST], ALLOWED)
    assert found.never(16 * GIB, GIB) == ""
    assert "17 GiB of memory" in found.never(17 * GIB, GIB)
    assert "16 GiB for labs" in found.never(17 * GIB, GIB)
    assert found.never(GIB, 30 * GIB) == "", "a limit is no reservation"
    assert "31 GiB of disk space" in found.never(GIB, 31 * GIB)


def test_a_projects_limits_are_kept() -> None:
    found = room([HOST], ALLOWED, Bounds(labs=3, memory=GIB))
    assert (found.labs, found.memory) == (3, GIB)
    assert found.never(2 * GIB, GIB)


@pytest.mark.parametrize(
    ("labs", "memory", "words"),
    [(200, 0, "200 containers of 200"), (1, 32 * GIB, "32 GiB of memory promised of 32 GiB")],
)
def test_what_is_short_is_said(labs: int, memory: int, words: str) -> None:
    assert room([HOST], ALLOWED).full(labs, memory) == words


def test_while_lxd_has_not_told_nothing_is_refused() -> None:
    assert room([], ALLOWED) is UNKNOWN
    assert UNKNOWN.never(1 << 50, 1 << 50) == ""


HARDWARE = {"memory": {"total": 16 * GIB, "used": 4 * GIB}, "cpu": {"total": 4}}
SPACE = {"total": 30 * GIB, "used": 10 * GIB}


@pytest.mark.parametrize(
    ("host", "group", "absent"),
    [
        (Host("n1", hardware=HARDWARE, space=SPACE), "", ""),
        (Host("n1", "Offline"), "", "doesn't answer"),
        (Host("n1", "Evacuated", hardware=HARDWARE, space=SPACE), "", "is evacuated"),
        (Host("n1", scheduler="manual", hardware=HARDWARE, space=SPACE), "labs", "by hand"),
        (Host("n1", scheduler="group", groups=("labs",), hardware=HARDWARE, space=SPACE), "", "by its group"),
        (Host("n1", scheduler="group", groups=("labs",), hardware=HARDWARE, space=SPACE), "labs", ""),
        (Host("n1", groups=("default",), hardware=HARDWARE, space=SPACE), "labs", "isn't in the group labs"),
    ],
)
def test_labs_are_placed_where_the_cluster_s_operator_lets_them(host: Host, group: str, absent: str) -> None:
    found = member(host, group)
    assert absent in found.absent
    assert bool(absent) == bool(found.absent)
    well = Member("n2", 4, 8 * GIB, 0, 30 * GIB, 0, target="n2")
    ill = Member("n3", 4, 8 * GIB, 0, 30 * GIB, 30 * GIB, target="n3")
    assert places([found, well, ill], ALLOWED) == {"n2": 8 * GIB} | ({} if absent else {"n1": 16 * GIB})
    assert room([found, well], ALLOWED).memory == (16 if absent else 48) * GIB


def test_a_cluster_without_a_member_for_labs_is_full_and_says_why() -> None:
    found = room(
        [member(Host("n1", "Offline"), ""), member(Host("n2", "Evacuated", hardware=HARDWARE, space=SPACE), "")],
        ALLOWED,
    )
    assert (found.labs, found.full(0, 0)) == (0, "n1 doesn't answer; n2 is evacuated")
    assert found.never(GIB, GIB) == "", "they may come back"


async def test_of_a_cluster_none_of_whose_members_may_have_a_lab_lxd_chooses_none(store: Store) -> None:
    lxd = Lxd(Address("/nowhere"), "none")
    admission = Admission(store, lxd, "pool", ALLOWED, "one")
    assert admission.places() == {}, "no cluster is known"
    admission.members = [member(Host("n1", hardware=HARDWARE, space=SPACE), "")]
    assert admission.places() == {"n1": 16 * GIB}
    lxd.whereabouts.hush("n1")
    with pytest.raises(Unavailable, match="No machine"):
        admission.places()
    lxd.close()
