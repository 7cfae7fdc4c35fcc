"""Floods: output without end leaves the page usable, Ctrl-C is answered, and nothing on the path grows."""

import asyncio
import random
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.browser.lab import Lab
from tests.client import User
from tests.conftest import Server
from tests.soak.remains import holder
from tests.soak.scale import times

BYTES = times(50_000_000)
SECONDS = times(60)
SAMPLES = 6
MIB = 1 << 20
SLOWEST_TURN_MS = 2_000
SLOWEST_MEDIAN_MS = 1_000
"""What is asked is 300 ms; the machine that tests may be busy with other things."""
GROWTH = {"page heap": 20 * 1_000_000, "server PSS": 2 * MIB, "holder RSS": MIB}

# How late a 50 ms timer is says how long the page couldn't answer; tasks of 50 ms and more are counted by Chromium itself.
PROBE = """() => {
  const probe = (window.probe = { late: 0, longest: 0, long: 0 });
  let last = performance.now();
  probe.timer = setInterval(() => {
    const now = performance.now();
    probe.late = Math.max(probe.late, now - last - 50);
    last = now;
  }, 50);
  probe.observer = new PerformanceObserver((list) => {
    for (const task of list.getEntries()) {
      probe.long++;
      probe.longest = Math.max(probe.longest, task.duration);
    }
  });
  probe.observer.observe({ entryTypes: ["longtask"] });
}"""
PROBED = """() => {
  clearInterval(window.probe.timer);
  window.probe.observer.disconnect();
  const { late, longest, long } = window.probe;
  return { late, longest, long };
}"""
# From the key press, by the event's own clock, to the frame in which the prompt is drawn.
WATCH_CTRL_C = """() => {
  window.answered = new Promise((resolve) => {
    const term = window.educenterTerminal;
    let pressed = null, parsed = null;
    const onKey = (event) => {
      if (event.ctrlKey && event.key === "c") pressed ??= event.timeStamp;
    };
    document.addEventListener("keydown", onKey, true);
    const prompt = () => {
      const buffer = term.buffer.active;
      return /[$#] $/.test(buffer.getLine(buffer.baseY + buffer.cursorY).translateToString(false, 0, buffer.cursorX));
    };
    const parsing = term.onWriteParsed(() => {
      if (pressed !== null && prompt()) parsed ??= performance.now();
    });
    const drawing = term.onRender(() => {
      if (parsed === null) return;
      for (const watch of [parsing, drawing]) watch.dispose();
      document.removeEventListener("keydown", onKey, true);
      resolve([performance.now() - pressed, parsed - pressed]);
    });
  });
}"""
# Looks only where the cursor is, and only when something was parsed: a search through the scrollback would be measured, too.
WATCH_END = """() => {
  window.ended = new Promise((resolve) => {
    const began = performance.now(), term = window.educenterTerminal;
    const parsing = term.onWriteParsed(() => {
      const buffer = term.buffer.active, last = buffer.baseY + buffer.cursorY;
      for (let y = last; y >= Math.max(0, last - 2); y--) {
        if (buffer.getLine(y).translateToString(true) !== "ALLSHOWN") continue;
        parsing.dispose();
        resolve((performance.now() - began) / 1000);
      }
    });
  });
}"""
MAKE = "head -c {raw} /dev/urandom | base64 > big"


@pytest.mark.timeout(180)
async def test_the_page_stays_usable_while_a_large_file_is_shown(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    await lab.start()
    await lab.run(MAKE.format(raw=BYTES * 3 // 4))
    await lab.page.evaluate(PROBE)
    await lab.page.evaluate(WATCH_END)
    await lab.type("cat big; echo ALL''SHOWN\n")
    seconds = await lab.page.evaluate("() => window.ended")
    found = await lab.page.evaluate(PROBED)
    with capsys.disabled():
        print(
            f"\n  cat of {BYTES:,} bytes in Chromium: {seconds:.1f} s, {BYTES / seconds / 1e6:.1f} MB/s; "
            f"{found['long']} long tasks, longest {found['longest']:.0f} ms; a timer was {found['late']:.0f} ms late at most"
        )
    assert found["late"] < SLOWEST_TURN_MS
    assert found["longest"] < SLOWEST_TURN_MS


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("flood", "tries"), [("cat big big big big", max(10, times(30))), ("yes", times(30))])
async def test_ctrl_c_in_a_flood_is_answered_with_a_prompt(
    lab: Lab, flood: str, tries: int, capsys: pytest.CaptureFixture[str]
) -> None:
    await lab.start()
    await lab.run(MAKE.format(raw=50_000_000 * 3 // 4))
    drawn, parsed = [], []
    for _ in range(tries):
        await lab.prompt()
        await lab.page.evaluate(WATCH_CTRL_C)
        await lab.type(flood + "\n")
        # How far the flood has come is left to chance.
        await asyncio.sleep(random.uniform(0.2, 1))
        await lab.press("Control+c")
        both = await lab.page.evaluate("() => window.answered")
        drawn.append(both[0])
        parsed.append(both[1])
    with capsys.disabled():
        print(
            f"\n  Ctrl-C during `{flood}`, {tries} times, to the prompt that is drawn: median {median(drawn):.0f} ms, "
            f"max {max(drawn):.0f} ms (parsed: median {median(parsed):.0f} ms, max {max(parsed):.0f} ms)"
        )
    assert median(drawn) < SLOWEST_MEDIAN_MS


@pytest.mark.timeout(120 + 2 * SECONDS)
async def test_nothing_on_the_path_grows_while_output_has_no_end(
    lab: Lab, server: Server, student: User, capsys: pytest.CaptureFixture[str]
) -> None:
    await lab.start()
    watched = (lab, server, holder(await student.first_terminal(lab.session)))
    devtools = await lab.page.context.new_cdp_session(lab.page)
    await devtools.send("Performance.enable")
    # The scrollbacks on all sides are full before anything is measured.
    await lab.type("timeout 5 yes full; clear; echo RE''ADY\n")
    await lab.row("^READY$", 60_000)
    await lab.prompt()
    await lab.type("yes\n")
    await asyncio.sleep(1)
    samples = [await _sizes(*watched, devtools)]
    for _ in range(SAMPLES):
        await asyncio.sleep(SECONDS / SAMPLES)
        samples.append(await _sizes(*watched, devtools))
    await lab.press("Control+c")
    await lab.prompt()
    with capsys.disabled():
        print(f"\n  `yes` for {SECONDS} s, MB:")
        for what in GROWTH:
            print(f"    {what}: " + " ".join(f"{sample[what] / 1e6:.2f}" for sample in samples))
    grown = {what: max(sample[what] for sample in samples[1:]) - samples[0][what] for what in GROWTH}
    assert all(grown[what] < most for what, most in GROWTH.items()), grown


async def _sizes(lab: Lab, server: Server, pid: int, devtools: Any) -> dict[str, int]:
    """Bytes: what lives on the page's heap after a collection, what the server has for itself, what the holder has."""
    assert server.process is not None
    await devtools.send("HeapProfiler.collectGarbage")
    metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
    heap = next(metric["value"] for metric in metrics if metric["name"] == "JSHeapUsedSize")
    return {
        "page heap": int(heap),
        "server PSS": _kib(f"/proc/{server.process.pid}/smaps_rollup", "Pss:"),
        "holder RSS": _kib(f"/proc/{pid}/status", "VmRSS:"),
    }


def _kib(file: str, name: str) -> int:
    line = next(line for line in Path(file).read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
