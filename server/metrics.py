"""Metrics: Prometheus's text of what this instance does. Counts are kept where things happen; this file only names them."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from terminals.hub import Hub
from terminals.labs.admission import Admission
from terminals.labs.pool import Pool
from terminals.labs.starts import Starts
from terminals.lxd import Lxd
from terminals.school.outside import Outside


class Metrics:
    """One registry for each application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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

    def watch(self, hub: Hub, lxd: Lxd, starts: Starts, pool: Pool, admission: Admission, outside: Outside) -> None:
        """Adds what the core counts by itself."""
        self.registry.register(_Core(hub, lxd))
        self.registry.register(_Life(starts, pool))
        self.registry.register(_Capacity(admission))
        self.registry.register(_Events(outside))

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _Core:
    def __init__(self, hub: Hub, lxd: Lxd) -> None:
        self._hub = hub
        self._lxd = lxd

    def collect(self) -> Iterator[Metric]:
        terminals = self._hub.terminals
        yield GaugeMetricFamily("educenter_terminals", "Terminals owned here.", value=len(terminals))
        attached = sum(terminal.attached for terminal in terminals)
        yield GaugeMetricFamily(
            "educenter_terminals_attached", "Terminals with a path to their holder.", value=attached
        )
        yield GaugeMetricFamily("educenter_draining", "1 while this instance drains.", value=float(self._hub.draining))
        calls = CounterMetricFamily("educenter_lxd_calls", "Calls to LXD.", labels=["operation", "result"])
        seconds = CounterMetricFamily(
            "educenter_lxd_seconds", "Time spent in LXD calls.", labels=["operation", "result"]
        )
        for labels, count in self._lxd.calls.count.items():
            calls.add_metric(list(labels), count)
            seconds.add_metric(list(labels), self._lxd.calls.seconds[labels])
        yield calls
        yield seconds


class _Life:
    """Of containers."""

    def __init__(self, starts: Starts, pool: Pool) -> None:
        self._starts = starts
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "educenter_starts_waiting", "Sessions that wait for a container.", value=self._starts.waiting
        )
        count = CounterMetricFamily("educenter_starts", "Sessions started here, by what they got.", labels=["way"])
        seconds = CounterMetricFamily("educenter_start_seconds", "From the click to live, summed up.", labels=["way"])
        for way, tally in self._starts.tallies.items():
            count.add_metric([way], tally.count)
            seconds.add_metric([way], tally.seconds)
        yield count
        yield seconds
        pool = GaugeMetricFamily(
            "educenter_pool", "Containers that wait, told by the instance that tends them.", labels=["image", "state"]
        )
        for image, stock in self._pool.stocks.items():
            for state in ("awake", "frozen", "warming"):
                pool.add_metric([image, state], getattr(stock, state))
        yield pool


class _Events:
    """Of LXD."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def collect(self) -> Iterator[Metric]:
        joined = float(self._outside.joined)
        yield GaugeMetricFamily("educenter_lxd_events_joined", "1 while LXD tells its events here.", value=joined)
        seen = CounterMetricFamily("educenter_lxd_events", "What LXD told of containers.", labels=["action"])
        for action, count in self._outside.seen.items():
            seen.add_metric([action], count)
        yield seen


class _Capacity:
    """Of the hosts, as last looked at; nothing where LXD hasn't told yet."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "educenter_labs_full", "1 while a start waits for room.", value=float(self._admission.full)
        )
        promised, room = self._admission.promised, self._admission.room
        counts = GaugeMetricFamily("educenter_capacity_labs", "Containers, and how many may be.", labels=["what"])
        memory = GaugeMetricFamily("educenter_capacity_memory_bytes", "Memory of containers.", labels=["what"])
        counts.add_metric(["promised"], promised.labs)
        memory.add_metric(["promised"], promised.memory)
        if members := self._admission.members:
            counts.add_metric(["room"], room.labs)
            memory.add_metric(["room"], room.memory)
            memory.add_metric(["host"], sum(member.memory for member in members))
            memory.add_metric(["host_used"], sum(member.memory_used for member in members))
        yield counts
        yield memory
        disk = GaugeMetricFamily("educenter_capacity_disk_bytes", "The storage pool, by host.", labels=["host", "what"])
        for member in members:
            disk.add_metric([member.name, "all"], member.disk)
            disk.add_metric([member.name, "used"], member.disk_used)
        yield disk
