"""What operators scrape: after real work each documented metric has a plausible value, and nothing else is exported."""

import asyncio
import re
from collections.abc import Callable

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from terminals.lxd import Lxd
from terminals.store import Store
from tests.client import User
from tests.conftest import ROOT, Server, container_of, lxc
from tests.e2e.test_homes import fetched, put
from tests.e2e.test_main_job import MakeUser, ask, shell
from tests.e2e.test_pool import POOL, emptied, until, waiting

pytestmark = pytest.mark.usefixtures("alone")

LESSON = "tiny-system"
MIB = 1024 * 1024
Samples = dict[str, float]
"""`name{label=value}` → value."""


async def scraped(server: Server) -> tuple[dict[str, str], Samples]:
    """Names as documented, with their types; and the samples."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/metrics") as answer:
        assert answer.status == 200
        families = list(text_string_to_metric_families(await answer.text()))
    types = {f"{each.name}_total" if each.type == "counter" else each.name: each.type for each in families}
    samples = {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sorted(sample.labels.items())): sample.value
        for each in families
        for sample in each.samples
    }
    return types, samples


def documented() -> dict[str, str]:
    text = (ROOT / "docs" / "operations.md").read_text()
    return dict(re.findall(r"^\| `((?:educenter|process)_\w+)` \| (\w+) \|", text, re.MULTILINE))


@pytest.mark.timeout(240)
async def test_each_documented_metric_has_a_plausible_value_after_real_work_and_no_other_is_exported(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store, lxd: Lxd
) -> None:
    server = make_server(**POOL)
    server.start()
    try:
        await until(lambda: full(store))
        student: User = await make_user(server.url)
        session, page = await shell(student, LESSON)
        await ask(page, "seq 1000; echo x > /root/file")
        await page.leave()
        assert (await put(student, session, "brought", b"x" * MIB))[0] == 201
        await fetched(student, session)
        await student.call("POST", f"/api/sessions/{session}/restart")
        reset = (await student.call("POST", f"/api/sessions/{session}/reset", status=202))["id"]
        await student.until(reset, "live")
        await asyncio.to_thread(lxc, "stop", "-f", container_of(reset))
        await until(lambda: found(server))
        types, samples = await settled(server)
    finally:
        server.stop()
        await emptied(store, lxd)
    assert types == documented()
    for name, (least, most) in PLAUSIBLE.items():
        assert name in samples, name
        assert least <= samples[name] <= most, f"{name} is {samples[name]}"
    unchecked = [name for name in types if not any(key.partition("{")[0].startswith(name) for key in PLAUSIBLE)]
    assert not unchecked, "each has a value that is known here"
    assert len(samples) < 1500, "few labels"
    assert not [name for name in samples if session in name or student.email in name]


async def found(server: Server) -> bool:
    return bool(server.logged("session_found"))


async def full(store: Store) -> bool:
    return len(await waiting(store)) == 2


async def settled(server: Server) -> tuple[dict[str, str], Samples]:
    """Once LXD and the rows were compared after all that."""
    found: list[tuple[dict[str, str], Samples]] = []

    async def counted() -> bool:
        found.append(await scraped(server))
        samples = found[-1][1]
        kept = samples.get("educenter_containers{state=kept}", 0)
        return bool(kept and samples.get("educenter_reconcile_timestamp_seconds"))

    await until(counted, 120)
    return found[-1]


ANY = (0.0, float("inf"))
SOME = (1.0, float("inf"))
NONE = (0.0, 0.0)
ONCE = (1.0, 1.0)
PLAUSIBLE = {
    "educenter_http_requests_total{method=POST}{route=/api/sessions}{status=202}": ONCE,
    "educenter_http_request_seconds_count{route=/api/sessions}": ONCE,
    "educenter_viewers": NONE,
    "educenter_viewer_closes_total{code=1000}": SOME,
    "educenter_output_bytes_total": (3_893.0, 100_000.0),
    "educenter_viewers_behind_total": NONE,
    "educenter_terminals": (0.0, 2.0),
    "educenter_terminals_attached": (0.0, 2.0),
    "educenter_prompt_seconds_count": ONCE,
    "educenter_prompt_seconds_sum": (0.001, 30.0),
    "educenter_draining": NONE,
    "educenter_starts_waiting": NONE,
    "educenter_start_seconds_count{way=awake}": SOME,
    "educenter_start_seconds_bucket{le=+Inf}{way=awake}": SOME,
    "educenter_starts_failed_total": NONE,
    "educenter_pool{image=busybox}{network=none}{state=frozen}": (0.0, 2.0),
    "educenter_sessions{state=starting}": NONE,
    "educenter_sessions{state=awake}": ANY,
    "educenter_sessions_ended_total{by=reset}": ONCE,
    "educenter_remakes_total{act=reset}": ONCE,
    "educenter_remakes_total{act=restart}": ONCE,
    "educenter_remakes_total{act=restore}": NONE,
    "educenter_containers{state=taken}": SOME,
    "educenter_containers{state=kept}": SOME,
    "educenter_keeper_steps_total{step=deadline}": NONE,
    "educenter_reconcile_findings{kind=lost}": NONE,
    "educenter_reconcile_stopped": NONE,
    "educenter_reconcile_timestamp_seconds": (1.6e9, 1e11),
    "educenter_lxd_calls_total{operation=exec}{result=ok}": SOME,
    "educenter_lxd_call_seconds_count{operation=exec}": SOME,
    "educenter_lxd_call_seconds_sum{operation=exec}": (0.001, 600.0),
    "educenter_lxd_events_total{action=stopped}": SOME,
    "educenter_lxd_events_joined": ONCE,
    "educenter_outside_total{what=stopped}": ONCE,
    "educenter_outside_total{what=deleted}": NONE,
    "educenter_labs_full": NONE,
    "educenter_capacity_labs{what=promised}": SOME,
    "educenter_capacity_labs{what=room}": SOME,
    "educenter_capacity_memory_bytes{what=host}": (1.0 * MIB, 1e15),
    "educenter_capacity_disk_bytes{host=the host}{what=used}": SOME,
    "educenter_host_memory_bytes{host=the host}{what=used}": SOME,
    "educenter_host_open{host=the host}": ONCE,
    "educenter_host_containers{host=the host}": ANY,
    "educenter_files_total{way=download}": ONCE,
    "educenter_files_total{way=upload}": ONCE,
    "educenter_file_bytes_total{way=upload}": (MIB, MIB),
    "educenter_file_bytes_total{way=download}": (500.0, MIB),
    "process_resident_memory_bytes": (10.0 * MIB, 1024.0 * MIB),
    "process_virtual_memory_bytes": (10.0 * MIB, 1024.0**4),
    "process_cpu_seconds_total": (0.1, 600.0),
    "process_open_fds": (5.0, 500.0),
    "process_max_fds": (100.0, 1e9),
    "process_start_time_seconds": (1.6e9, 1e11),
}
"""Of each documented name at least one sample, and between what it must be."""
