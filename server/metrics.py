"""Metrics: Prometheus's text of what this instance does. Counts are kept where things happen; this file only names them."""

import asyncio
from collections.abc import Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from terminals.capacity import Member
from terminals.hub import Hub
from terminals.labs.admission import Admission
from terminals.labs.homes import Homes
from terminals.labs.pool import Pool
from terminals.labs.starts import Starts
from terminals.lxd import Lxd
from terminals.school.janitor import Janitor
from terminals.school.keeper import Keeper
from terminals.school.outside import Outside
from terminals.school.sessions import Sessions
from terminals.tallies import Durations


class Metrics:
    """One registry for each application."""

    def __init__(self) -> None:
        # One more series for each, which nobody reads: the process's own start says the same.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self.requests = Counter(
            "educenter_http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "educenter_http_request_seconds",
            "Time to answer a request (sockets aside).",
            ["route"],
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.viewers = Gauge("educenter_viewers", "Browser sockets open here.", registry=self.registry)
        self.closes = Counter(
            "educenter_viewer_closes", "Sockets closed, by close code.", ["code"], registry=self.registry
        )
        self.sent = Counter("educenter_output_bytes", "Output bytes sent to browsers.", registry=self.registry)
        self.behind = Counter("educenter_viewers_behind", "Times that a viewer was reset.", registry=self.registry)

    def watch(self, *collectors: "Core | Labs | School") -> None:
        """Adds what the core counts by itself."""
        for collector in collectors:
            self.registry.register(collector)

    async def text(self) -> bytes:
        """The exposition format."""
        # The process's own are read from files; ours are the loop's.
        process = await asyncio.to_thread(generate_latest, self._process)
        return process + generate_latest(self.registry)


class Core:
    """Of terminals, and of LXD."""

    def __init__(self, hub: Hub, lxd: Lxd) -> None:
        self._hub = hub
        self._lxd = lxd

    def collect(self) -> Iterator[Metric]:
        terminals = self._hub.terminals
        attached = sum(terminal.attached for terminal in terminals)
        yield _gauge("terminals", "Terminals owned here.", len(terminals))
        yield _gauge("terminals_attached", "Terminals with a path to their holder.", attached)
        yield _gauge("draining", "1 while this instance drains.", float(self._hub.draining))
        yield _histogram(
            "prompt_seconds", "From opening a terminal until its output is here.", "", {"": self._hub.prompts}
        )
        calls = CounterMetricFamily("educenter_lxd_calls", "Calls to LXD.", labels=["operation", "result"])
        for labels, count in self._lxd.calls.count.items():
            calls.add_metric(list(labels), count)
        yield calls
        yield _histogram("lxd_call_seconds", "Time that calls to LXD took.", "operation", self._lxd.calls.seconds)


class Labs:
    """Of containers, and the files in them."""

    def __init__(self, starts: Starts, pool: Pool, admission: Admission, homes: Homes) -> None:
        self._starts = starts
        self._pool = pool
        self._admission = admission
        self._homes = homes

    def collect(self) -> Iterator[Metric]:
        yield _gauge("starts_waiting", "Sessions that wait for a container.", self._starts.waiting)
        yield _histogram("start_seconds", "From the click to live, by what it got.", "way", self._starts.took)
        yield CounterMetricFamily("educenter_starts_failed", "Starts that failed here.", value=self._starts.failed)
        pool = GaugeMetricFamily(
            "educenter_pool",
            "Containers that wait, told by the instance that tends them.",
            labels=["image", "network", "state"],
        )
        for kind, stock in self._pool.stocks.items():
            for state in ("awake", "frozen", "warming"):
                pool.add_metric([*kind, state], getattr(stock, state))
        yield pool
        yield from self._room()
        yield _counter("files", "Archives and files that came whole.", "way", self._homes.files)
        yield _counter("file_bytes", "Bytes of archives and files, whole or not.", "way", self._homes.bytes)

    def _room(self) -> Iterator[Metric]:
        """As last looked at."""
        admission = self._admission
        yield _gauge("labs_full", "1 while a start waits for room.", float(admission.full))
        promised, room, members = admission.promised, admission.room, admission.members
        labs, memory = {"promised": promised.labs}, {"promised": promised.memory}
        if members:  # LXD has told
            labs["room"], memory["room"] = room.labs, room.memory
            memory["host"] = sum(member.memory for member in members)
            memory["host_used"] = sum(member.memory_used for member in members)
        yield _gauges("capacity_labs", "Containers, and how many may be.", "what", labs)
        yield _gauges("capacity_memory_bytes", "Memory of containers.", "what", memory)
        yield from _hosts(members, admission.held)


def _hosts(members: list[Member], held: dict[str, int]) -> Iterator[Metric]:
    """Each for itself."""
    disk = GaugeMetricFamily("educenter_capacity_disk_bytes", "The storage pool, by host.", labels=["host", "what"])
    memory = GaugeMetricFamily("educenter_host_memory_bytes", "Memory, by host.", labels=["host", "what"])
    for member in members:
        for family, whole, used in ((disk, member.disk, member.disk_used), (memory, member.memory, member.memory_used)):
            family.add_metric([member.name, "all"], whole)
            family.add_metric([member.name, "used"], used)
    yield disk
    yield memory
    open_ = {member.name: float(not member.absent) for member in members}
    yield _gauges("host_open", "1 where new labs may begin.", "host", open_)
    yield _gauges(
        "host_containers", "Containers on each host.", "host", {m.name: held.get(m.target, 0) for m in members}
    )


class School:
    """Of labs, and what becomes of them."""

    def __init__(self, sessions: Sessions, keeper: Keeper, janitor: Janitor, outside: Outside) -> None:
        self._sessions = sessions
        self._keeper = keeper
        self._janitor = janitor
        self._outside = outside

    def collect(self) -> Iterator[Metric]:
        yield _gauges("sessions", "Sessions that haven't ended.", "state", self._janitor.sessions)
        yield _gauges("containers", "Containers that have a row.", "state", self._janitor.containers)
        yield _counter("sessions_ended", "Sessions ended here, by what.", "by", self._sessions.ended)
        yield _counter("remakes", "Labs reset, restored, restarted here.", "act", self._sessions.remade)
        yield _counter("keeper_steps", "Labs put to rest or ended for want of use or time.", "step", self._keeper.steps)
        yield from self._found()
        yield _counter("lxd_events", "What LXD told of containers.", "action", self._outside.seen)
        yield _gauge("lxd_events_joined", "1 while LXD tells its events here.", float(self._outside.joined))
        yield _counter("outside", "What others did to live labs' containers.", "what", self._outside.befallen)

    def _found(self) -> Iterator[Metric]:
        found = self._janitor.found
        if found is None:
            return
        kinds = {
            "orphans": len(found.orphans) + len(found.kept) + len(found.expired),
            "lost": len(found.lost),
            "unkept": len(found.unkept),
            "vanished": found.vanished,
            "astray": len(found.astray),
        }
        yield _gauges("reconcile_findings", "What LXD and the rows didn't agree on.", "kind", kinds)
        yield _gauge("reconcile_stopped", "1 where that was too much to be an accident.", float(bool(found.too_much)))
        yield _gauge("reconcile_timestamp_seconds", "When that was last looked at here.", self._janitor.found_at)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"educenter_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    found = GaugeMetricFamily(f"educenter_{name}", text, labels=[label])
    for word, value in values.items():
        found.add_metric([word], value)
    return found


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    found = CounterMetricFamily(f"educenter_{name}", text, labels=[label])
    for word, value in values.items():
        found.add_metric([word], value)
    return found


def _histogram(name: str, text: str, label: str, values: Mapping[str, Durations]) -> Metric:
    """`label` is empty where there is only one."""
    found = HistogramMetricFamily(f"educenter_{name}", text, labels=[label] if label else [])
    for word, value in values.items():
        found.add_metric([word] if label else [], value.buckets(), value.total)
    return found
