"""Capacity: how many containers there is room for, by what LXD says its hosts have and the operator allows. Pure.

What is promised already is the rows' business (`terminals/store/promises.py`).
"""

from dataclasses import dataclass

GIB = 1 << 30
SPARE = 0.05
"""Of a host's memory: with less really free nothing new begins, whatever was promised."""
MOST_FREE = 2 * GIB
MANY = (1 << 31) - 1
ENDLESS = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows."""

    at_once: int
    """Containers that all instances together make at the same time."""
    labs: int = 0
    """Containers that run or sleep, those that wait included; 0: as many as there is room for."""
    cores: float = 50.0
    """So many of them for each core; 0: whatever the cores."""
    memory: float = 2.0
    """Bytes promised to them for each one that the hosts have: few use all of theirs."""
    disk: int | None = None
    """Bytes that stay free in the storage pool; None: a tenth of it, and no more than `MOST_FREE`."""


@dataclass(frozen=True, slots=True)
class Member:
    """One host of LXD's."""

    name: str
    cores: int
    memory: int
    """Bytes, as the rest."""
    memory_used: int
    disk: int
    disk_used: int
    target: str = ""
    """What the cluster calls it; empty: there is none."""
    absent: str = ""
    """Why no lab may begin on it, whatever room it has: it is offline, evacuated, or kept for others. Empty: one may."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an LXD project is limited to."""

    labs: int = MANY
    memory: int = ENDLESS


@dataclass(frozen=True, slots=True)
class Room:
    """For all containers together, whatever they are promised now."""

    labs: int = MANY
    memory: int = ENDLESS
    """Bytes that may be promised."""
    largest: int = ENDLESS
    """Bytes of memory that the largest host has: one container gets no more."""
    disk: int = ENDLESS
    """Bytes of the largest storage pool."""
    shortage: str = ""
    """Why nothing new may begin, whatever was promised; empty: it may."""

    def never(self, memory: int, disk: int) -> str:
        """Why a container of that size can't be made even when there is no other; empty: it can."""
        for what, wants, has in (
            ("memory", memory, min(self.memory, self.largest)),
            ("disk space", disk, self.disk),
        ):
            if wants > has:
                return (
                    f"This lesson needs {_size(wants)} of {what}, and the lab host has {_size(has)} for labs, so it can't "
                    "be started here. Tell your teacher: the lesson has to ask for less, or the host needs more"
                )
        return ""

    def full(self, labs: int, memory: int) -> str:
        """What is short for one more lab where so much is promised, for operators; empty: nothing seems to be."""
        if self.shortage:
            return self.shortage
        if labs >= self.labs:
            return f"{labs} containers of {self.labs}"
        return f"{_size(memory)} of memory promised of {_size(self.memory)}"


UNKNOWN = Room()
"""LXD hasn't told yet."""


def room(members: list[Member], policy: Policy, bounds: Bounds = Bounds()) -> Room:
    """What these hosts have room for."""
    if not members:
        return UNKNOWN
    absent = "; ".join(f"{member.name} {member.absent}" for member in members if member.absent)
    members = [member for member in members if not member.absent]
    if not members:
        return Room(labs=0, shortage=absent)
    labs = [bounds.labs]
    if policy.labs:
        labs.append(policy.labs)
    if policy.cores:
        labs.append(max(1, round(policy.cores * sum(member.cores for member in members))))
    memory = round(policy.memory * sum(member.memory for member in members))
    return Room(
        labs=min(labs),
        memory=min(memory, bounds.memory),
        largest=max(member.memory for member in members),
        disk=max(member.disk for member in members),
        shortage=_shortage(members, policy),
    )


def places(members: list[Member], policy: Policy) -> dict[str, int]:
    """Those of a cluster that may have another lab, and their bytes of memory; empty: there is no cluster, or no such member."""
    return {each.target: each.memory for each in members if each.target and not each.absent and not _ails(each, policy)}


def _shortage(members: list[Member], policy: Policy) -> str:
    """Where no host is well."""
    found = [_ails(member, policy) for member in members]
    return "; ".join(found) if all(found) else ""


def _ails(member: Member, policy: Policy) -> str:
    free = member.disk - member.disk_used
    least = min(member.disk // 10, MOST_FREE) if policy.disk is None else policy.disk
    if free < least:
        return f"{_size(free)} of disk free on {member.name}, and {_size(least)} are to stay free"
    free, least = member.memory - member.memory_used, round(member.memory * SPARE)
    if free < least:
        return f"{_size(free)} of memory free on {member.name}, and {_size(least)} are to stay free"
    return ""


def _size(count: int) -> str:
    if count >= GIB:
        return f"{count / GIB:.1f}".removesuffix(".0") + " GiB"
    return f"{max(0, count) >> 20} MiB"
