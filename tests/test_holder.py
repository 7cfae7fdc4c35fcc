"""The holder, run for real: exactly what docs/protocol.md promises of it."""

import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from terminals.link import frames
from tests.holder_builds import Build, on
from tests.holder_client import Client, Holders, attach, stat_field, wait_for

RING = 1_048_576
RAW = "stty raw -echo -opost; printf ready;"
STALE, BUSY, BIRTH, FENCED, LOST, FRAME, START, VERSION = range(1, 9)
ORDER, UNKNOWN, FULL = 1, 2, 3
everywhere = on("product", "asan", "arm64")
"""What depends on the machine or the kernel's interface: byte order, pty, descriptors over a socket, signals, fork."""


def typed(seq: int, data: bytes, writer: int = 7) -> bytes:
    return frames.holder_input(writer, seq, data)


def taken(client: Client) -> tuple[int, int]:
    return frames.read_pair(client.expect(frames.TAKEN))


def nak(client: Client) -> tuple[int, int, int]:
    return frames.read_nak(client.expect(frames.NAK))


def finished(client: Client) -> frames.Exit:
    return frames.read_exit(client.expect(frames.EXIT))


def numbers(text: bytes) -> list[int]:
    return [int(line) for line in text.split()]


def descriptors(pid: int) -> list[str]:
    return [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]


# --- Birth and attach ---


@everywhere
@pytest.mark.parametrize("pipes", [True, False])
def test_start_gives_a_new_pty_of_the_asked_size(holders: Holders, *, pipes: bool) -> None:
    client = holders.start("stty size; exec cat", pipes=pipes)
    hello = client.attach(epoch=3)
    assert (hello.version, hello.exited, hello.epoch, hello.base, hello.acked) == (1, False, 3, 0, 0)
    assert (hello.cols, hello.rows) == (80, 24)
    assert hello.birth != bytes(16)
    assert client.until(b"\n") == b"24 80\r\n"


@everywhere
def test_attach_without_holder_or_record_says_lost(holders: Holders) -> None:
    client = holders.attach()
    assert client.error()[0] == LOST
    assert client.bridge.wait(10) == 1


def test_a_second_start_bridges_to_the_same_pty(holders: Holders) -> None:
    first = holders.start().attach()
    assert holders.start().attach(epoch=2).birth == first.birth


def test_starts_at_once_make_one_pty(holders: Holders) -> None:
    clients = [holders.start() for _ in range(6)]
    births = {client.attach(epoch=epoch).birth for epoch, client in enumerate(clients, 1)}
    assert len(births) == 1
    holders.pid()


def test_each_id_has_its_own_pty(holders: Holders) -> None:
    births = {holders.start(terminal=name).attach().birth for name in ("a", "b", "a" * 40)}
    assert len(births) == 3


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "a" * 41, "a\n"])
def test_a_wrong_id_is_refused(holders: Holders, name: str) -> None:
    code, _, text = holders.attach(name).error()
    assert code == START
    assert "ID" in text


@pytest.mark.parametrize(
    "arguments",
    [[], ["start"], ["start", "a", "80"], ["start", "a", "0", "24"], ["start", "a", "80", "65536"], ["what"]]
    + [["start", "a", "80", "24", *more] for more in (["-x"], ["-e", "=x"], ["-e", "x"], ["-u"], ["more"])],
)
def test_a_wrong_command_line_is_refused(holders: Holders, arguments: list[str]) -> None:
    assert holders.run(*arguments).error()[0] == START


@everywhere
def test_version_prints_the_protocols_version(build: Build) -> None:
    assert subprocess.check_output([*build.command, "version"]) == b"1\n"


@everywhere
@pytest.mark.parametrize("shell", ["/nowhere/shell", "/etc/passwd", "relative"])
def test_a_shell_that_cannot_run_is_told(holders: Holders, shell: str) -> None:
    client = holders.run("start", "a", "80", "24", "-s", shell)
    code, _, text = client.error()
    assert code == START
    assert "no shell" in text
    assert shell in text
    assert holders.attach("a").error()[0] == LOST


def test_a_script_without_interpreter_is_told(holders: Holders) -> None:
    path = holders.folder / "broken"
    path.write_text("#!/nowhere\n")
    path.chmod(0o755)
    code, _, text = holders.run("start", "a", "80", "24", "-s", str(path)).error()
    assert (code, "No such file" in text) == (START, True)


def test_an_unknown_user_is_told(holders: Holders) -> None:
    code, _, text = holders.run("start", "a", "80", "24", "-u", "nobody-here").error()
    assert (code, "nobody-here" in text) == (START, True)


def test_a_state_directory_that_others_can_write_is_refused(holders: Holders) -> None:
    holders.state.mkdir(mode=0o777)
    holders.state.chmod(0o777)
    assert holders.start().error()[0] == START


def test_a_dead_socket_is_replaced(holders: Holders) -> None:
    first = holders.start()
    birth = first.attach().birth
    os.kill(holders.pid(), signal.SIGKILL)
    first.ended()
    assert (holders.state / "t-1.sock").exists()
    assert holders.attach().error()[0] == LOST
    assert holders.start().attach().birth != birth


def test_the_shell_is_a_login_shell_with_its_own_environment(holders: Holders) -> None:
    client = holders.start("tr '\\0' '\\n' </proc/$$/environ; pwd; umask; exec cat", "-e", "LANG=xx", "-e", "A=b c=d")
    client.attach()
    lines = client.until(b"0022\r\n").decode().split("\r\n")
    assert {"TERM=xterm-256color", "COLORTERM=truecolor", "LANG=xx", "A=b c=d", "HOME=/root", "USER=root"} <= set(lines)
    assert "LANG=C.UTF-8" not in lines
    assert not [line for line in lines if line.startswith("EDUCENTER")]
    assert "/root" in lines
    assert "/usr/local/bin" in next(line for line in lines if line.startswith("PATH="))
    client = holders.run("start", "dash", "80", "24", "-s", "/bin/dash", "-d", "/usr")
    client.attach()
    client.send(typed(1, b"echo is $0 in $PWD\n"))
    client.until(b"is -dash in /usr\r\n")


@everywhere
def test_the_shell_runs_as_the_asked_user_in_his_groups(holders: Holders) -> None:
    client = holders.run("start", "a", "80", "24", "-u", "daemon", "-s", "/bin/sh")
    client.attach()
    client.send(typed(1, b"id -un; id -G; echo writable >/dev/tty; cat /proc/self/oom_score_adj\n"))
    output = client.until(b"\r\n500\r\n")
    assert b"daemon\r\n1\r\nwritable\r\n500\r\n" in output


@everywhere
def test_the_shell_has_default_signals_and_no_other_descriptors(holders: Holders) -> None:
    client = holders.start("grep -E 'Sig(Ign|Blk)' /proc/self/status; ls /proc/self/fd; echo end; exec cat")
    client.attach()
    _, blocked, _, ignored, *left = client.until(b"end").split()
    assert int(blocked, 16) == 0
    # make leaves 32 and 33 ignored, and the C library gives nobody a way to touch these two: they are its own.
    assert int(ignored, 16) & ~0x180000000 == 0
    assert left == b"0 1 2 3 end".split()


@everywhere
def test_the_holder_keeps_nothing_of_who_started_it(holders: Holders) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    client = holders.start()
    os.close(write)
    client.attach()
    client.close()
    pid = holders.pid()
    wait_for(lambda: len(descriptors(pid)) == 8)
    # /dev/null three times, the directory, the listener, the signals, the pty's two ends.
    assert descriptors(pid).count("/dev/null") == 3
    assert str(Path(f"/proc/{pid}/cwd").readlink()) == "/"
    assert stat_field(Path(f"/proc/{pid}"), 3) == pid
    assert os.read(read, 1) == b""
    os.close(read)


# --- Output ---


@everywhere
def test_attach_sends_only_the_missing_bytes(holders: Holders) -> None:
    first = holders.start(RAW + "exec cat")
    birth = first.attach().birth
    first.until(b"ready")
    first.send(typed(1, b"0123456789"))
    first.until(b"9")
    first.close()
    second = holders.attach()
    hello = second.attach(epoch=2, birth=birth, offset=10)
    assert (hello.start, hello.base, hello.head) == (10, 0, 15)
    assert second.until(b"9") == b"56789"


def test_an_offset_that_never_was_gives_all(holders: Holders) -> None:
    client = holders.start("printf all; exec cat")
    assert client.attach(offset=1_000_000).start == 0
    assert client.until(b"all") == b"all"


@everywhere
def test_numbered_lines_survive_killed_bridges(holders: Holders) -> None:
    client, output, offset, epoch = holders.start("stty -opost; exec seq 1 300000"), b"", 0, 1
    chance = random.Random(1)
    while True:
        client.attach(epoch=epoch, offset=offset)
        assert client.hello.start == offset
        stop = chance.randrange(100_000, 500_000)
        while len(client.output) < stop and (body := client.read()) is not None and body[0] != frames.EXIT:
            pass
        output, offset = output + client.output, client.end or 0
        if len(client.output) < stop:
            break
        client.kill()
        client, epoch = holders.attach(), epoch + 1
    assert epoch > 4
    assert numbers(output) == list(range(1, 300_001))


def test_bulk_output_is_whole(holders: Holders) -> None:
    client = holders.start(RAW + "yes | head -c 50000000")
    began = time.monotonic()
    client.attach()
    digest, size = hashlib.sha256(), 0
    while (body := client.read()) is not None and body[0] != frames.EXIT:
        if client.output:
            digest.update(client.output)
            size, client.output = size + len(client.output), b""
    print(f"\n{size / (time.monotonic() - began) / 1e6:.0f} MB/s")
    assert size == 50_000_005
    expected = hashlib.sha256(b"ready" + b"y\n" * 25_000_000)
    assert digest.digest() == expected.digest()


@everywhere
def test_every_byte_passes_both_ways(holders: Holders) -> None:
    client = holders.start(RAW + "exec cat")
    client.attach()
    client.until(b"ready")
    every = bytes(range(256)) * 64
    for seq in range(1, 21):
        client.send(typed(seq, every))
        while taken(client)[1] != seq:
            pass
        client.until(b"ready" + every * seq)
    assert client.output == b"ready" + every * 20


def test_the_last_output_of_a_shell_is_never_cut(holders: Holders) -> None:
    chance = random.Random(2)
    for i in range(40):
        size = chance.randrange(1, 60_000)
        client = holders.start(f"stty -opost; head -c {size} /dev/zero; exit {i}", terminal=f"t-{i}")
        client.attach()
        ended = finished(client)
        assert (ended.code, ended.offset, len(client.output)) == (i, size, size)
        client.send(frames.frame(frames.HANGUP))
        client.ended()


@everywhere
def test_output_stops_at_the_window_and_pings_do_not_wait_behind_it(holders: Holders) -> None:
    client = holders.start(RAW + "exec yes", acks=False)
    client.attach(window=10_000)
    while len(client.output) < 10_000:
        client.expect(frames.OUTPUT)
    for nonce in range(20):
        client.send(frames.ping(nonce))
        assert client.expect(frames.PONG) == b"P" + nonce.to_bytes(4)
    assert len(client.output) == 10_000
    client.send(frames.ack(4_000, 10_000))
    while len(client.output) < 14_000:
        client.expect(frames.OUTPUT)
    client.send(frames.ping(1))
    client.expect(frames.PONG)
    assert len(client.output) == 14_000


@pytest.mark.parametrize(("asked", "given"), [(0, 4_096), (2**32 - 1, 524_288)])
def test_the_window_is_bounded(holders: Holders, asked: int, given: int) -> None:
    client = holders.start(RAW + "exec yes", acks=False)
    client.attach(window=asked)
    while len(client.output) < given:
        client.expect(frames.OUTPUT)
    client.send(frames.ping(1))
    client.expect(frames.PONG)
    assert len(client.output) == given


def test_an_ack_beyond_the_end_or_below_another_is_harmless(holders: Holders) -> None:
    client = holders.start(RAW + "exec cat", acks=False)
    client.attach()
    client.until(b"ready")
    client.send(frames.ack(2**64 - 1, 4_096), frames.ack(1, 4_096))
    client.send(typed(1, b"more"))
    client.until(b"readymore")
    client.close()
    assert holders.attach().attach(epoch=2).acked == 5


def test_without_an_owner_the_pty_blocks_when_the_ring_is_full(new_holders: Callable[..., Holders]) -> None:
    holders = new_holders()
    client = holders.start("stty -opost; exec seq 1 1000000", acks=False)
    client.attach()
    client.expect(frames.OUTPUT)
    client.close()
    pid = holders.pid()
    before = -1

    def still() -> bool:
        nonlocal before
        now, before = before, int(Path(f"/proc/{pid}/io").read_text().split()[1])
        time.sleep(0.2)
        return now == before

    wait_for(still)
    client = holders.attach()
    hello = client.attach(epoch=2)
    assert (hello.base, hello.head) == (0, RING)
    finished(client)
    assert numbers(client.output) == list(range(1, 1_000_001))


def test_after_the_grace_the_oldest_bytes_go_and_the_next_owner_gets_a_gap(new_holders: Callable[..., Holders]) -> None:
    holders = new_holders(EDUCENTER_HOLDER_GRACE_MS="300")
    client = holders.start("stty -opost; seq 1 500000; exec cat", acks=False)
    client.attach()
    client.expect(frames.OUTPUT)
    client.close()
    size = sum(len(str(n)) + 1 for n in range(1, 500_001))
    pid = holders.pid()
    wait_for(lambda: int(Path(f"/proc/{pid}/io").read_text().split()[1]) > size)
    client = holders.attach()
    hello = client.attach(epoch=2, offset=100)
    assert (hello.start, hello.base, hello.head, hello.acked) == (100, size - RING, size, size - RING)
    gap = client.read()
    assert gap is not None
    assert gap[0] == frames.GAP
    assert frames.read_pair(gap) == (100, size - RING)
    assert client.until(b"\n500000\n")[-7:] == b"500000\n"
    assert len(client.output) == RING


def test_a_thaw_begins_the_grace_anew(new_holders: Callable[..., Holders]) -> None:
    holders = new_holders(EDUCENTER_HOLDER_GRACE_MS="4000")
    client = holders.start("stty -opost; exec yes", acks=False)
    client.attach()
    client.expect(frames.OUTPUT)
    client.close()
    pid = holders.pid()
    wait_for(lambda: int(Path(f"/proc/{pid}/io").read_text().split()[1]) > RING)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(4.5)  # the freeze itself: longer than the grace
    os.kill(pid, signal.SIGCONT)
    time.sleep(1.5)  # in which the ring would turn over, if the grace were over
    assert holders.attach().attach(epoch=2).base == 0


# --- Owners ---


@everywhere
def test_a_newer_owner_cuts_off_the_older_one(holders: Holders) -> None:
    old = holders.start()
    old.attach(epoch=4)
    new = holders.attach()
    new.attach(epoch=5)
    code, epoch, _ = old.error()
    assert (code, epoch) == (FENCED, 5)
    assert old.bridge.wait(10) == 0
    new.send(typed(1, b"x"))
    assert taken(new) == (7, 1)


def test_the_same_epoch_takes_over_when_forced(holders: Holders) -> None:
    old = holders.start()
    old.attach(epoch=4)
    holders.attach().attach(epoch=4)
    assert old.error()[0] == FENCED


@pytest.mark.parametrize("forced", [True, False])
def test_a_stale_epoch_is_refused_with_the_current_one(holders: Holders, *, forced: bool) -> None:
    owner = holders.start()
    owner.attach(epoch=9)
    late = holders.attach()
    late.send(attach(epoch=8, forced=forced))
    code, epoch, _ = late.error()
    assert (code, epoch) == (STALE, 9)
    owner.send(frames.ping(1))
    owner.expect(frames.PONG)


def test_a_polite_claim_waits_until_the_owner_is_silent(holders: Holders) -> None:
    owner = holders.start()
    owner.attach(epoch=1)
    polite = holders.attach()
    polite.send(attach(epoch=2, forced=False))
    assert polite.error()[0] == BUSY
    spoke = time.monotonic()
    owner.send(frames.ping(1))
    owner.expect(frames.PONG)
    while True:
        polite = holders.attach()
        polite.send(attach(epoch=2, forced=False))
        body = polite.read()
        if body is not None and body[0] == frames.HELLO:
            break
        polite.close()
        assert time.monotonic() < spoke + 10
    assert time.monotonic() - spoke > 4.99  # the holder counts whole ms
    assert owner.error()[0] == FENCED


def test_a_polite_claim_comes_at_once_where_nobody_is(holders: Holders) -> None:
    client = holders.start()
    client.attach()
    client.close()
    wait_for(lambda: len(holders.pids()) == 1)
    assert holders.attach().attach(forced=False).epoch == 1


def test_another_birth_is_refused(holders: Holders) -> None:
    client = holders.start()
    client.send(attach(birth=b"x" * 16))
    assert client.error()[0] == BIRTH


def test_an_owner_that_reads_nothing_is_cut_off_all_the_same(holders: Holders) -> None:
    old = holders.start(RAW + "exec yes", pipes=True, acks=False)
    old.attach()
    new = holders.attach()
    new.attach(epoch=2)
    while len(new.output) < 2 * RING:
        new.expect(frames.OUTPUT)
    assert old.bridge.wait(10) == 0
    while old.read() is not None:  # contiguous, and whole frames or a cut
        pass


def test_the_end_of_the_input_detaches(holders: Holders) -> None:
    client = holders.start(pipes=True)
    client.attach()
    os.close(client.writer)
    client.writer = client.reader
    client.ended()
    assert client.bridge.wait(10) == 0


@everywhere
def test_what_an_owner_sent_before_it_vanished_is_taken(holders: Holders) -> None:
    client = holders.start(RAW + "exec cat")
    client.attach()
    client.until(b"ready")
    client.send(*(typed(seq, b"x" * 1_000) for seq in range(1, 41)))
    client.close()
    client = holders.attach()
    client.attach(epoch=2)
    client.send(frames.ask_writer(7))
    assert taken(client) == (7, 40)
    client.until(b"x" * 40_000)


def test_the_holders_death_ends_the_bridge(holders: Holders) -> None:
    client = holders.start()
    client.attach()
    os.kill(holders.pid(), signal.SIGKILL)
    client.ended()
    assert client.bridge.wait(10) == 0


def test_silent_clients_do_not_lock_others_out(holders: Holders) -> None:
    first = holders.start()
    wait_for((holders.state / "t-1.sock").exists)
    silent = [holders.attach() for _ in range(9)]
    began = time.monotonic()
    last = holders.attach()
    last.attach()
    assert time.monotonic() - began < 9
    refused = [client.error() for client in (first, *silent)]
    assert {(code, text) for code, _, text in refused} == {(FRAME, "no A within 5 s")}


def test_an_owner_is_not_hurt_by_its_bridge_being_frozen(holders: Holders) -> None:
    client = holders.start()
    client.attach()
    os.kill(client.bridge.pid, signal.SIGSTOP)
    client.send(typed(1, b"x\n"))
    client.until(b"x")
    os.kill(client.bridge.pid, signal.SIGCONT)


# --- Input ---


@everywhere
def test_lower_seq_is_acknowledged_again_but_not_executed(holders: Holders) -> None:
    client = holders.start(RAW + "exec cat")
    client.attach()
    client.until(b"ready")
    client.send(typed(1, b"a"), typed(2, b"b"), typed(1, b"A"), typed(2, b"B"), typed(3, b"c"))
    assert [taken(client)[1] for _ in range(5)] == [1, 2, 2, 2, 3]
    client.until(b"abc")
    assert client.output == b"readyabc"


def test_a_hole_in_the_seqs_is_refused(holders: Holders) -> None:
    client = holders.start()
    client.attach()
    client.send(typed(1, b"a"), typed(3, b"c"))
    assert taken(client) == (7, 1)
    assert nak(client) == (7, 2, ORDER)


@pytest.mark.parametrize("seq", [0, 2, 2**64 - 1])
def test_an_unknown_writer_must_begin_at_1(holders: Holders, seq: int) -> None:
    client = holders.start()
    client.attach()
    client.send(typed(seq, b"a"))
    assert nak(client) == (7, 1, UNKNOWN)


def test_input_that_does_not_fit_is_refused_whole_and_fits_later(holders: Holders) -> None:
    client = holders.start(RAW + "read -r line </dev/null; sleep 600 & wait")
    client.attach()
    client.until(b"ready")
    sent = 0
    while True:
        sent += 1
        client.send(typed(sent, b"x" * 32_768))
        body = client.expect(frames.TAKEN, frames.NAK)
        if body[0] == frames.NAK:
            break
        assert sent < 100
    assert frames.read_nak(body) == (7, sent, FULL)
    client.send(typed(1, b"x", writer=8))
    client.send(frames.ask_writer(7))
    assert (7, sent - 1) in {taken(client), taken(client)}


@everywhere
def test_a_writers_last_seq_survives_owners(holders: Holders) -> None:
    client = holders.start()
    client.attach()
    client.send(typed(1, b"a"), typed(2, b"b"))
    assert [taken(client), taken(client)] == [(7, 1), (7, 2)]
    client.close()
    client = holders.attach()
    client.attach(epoch=2)
    client.send(frames.ask_writer(7), frames.ask_writer(8), typed(3, b"c"))
    assert [taken(client) for _ in range(3)] == [(7, 2), (8, 0), (7, 3)]


def test_the_writer_unheard_for_longest_is_forgotten(holders: Holders) -> None:
    client = holders.start()
    client.attach()
    for writer in range(64):
        client.send(typed(1, b"x", writer=writer))
    client.send(typed(2, b"x", writer=0), typed(1, b"x", writer=64), typed(2, b"x", writer=1), typed(3, b"x", writer=0))
    for _ in range(66):
        taken(client)
    assert nak(client) == (1, 1, UNKNOWN)
    assert taken(client) == (0, 3)


@everywhere
def test_a_control_key_reaches_the_foreground(holders: Holders) -> None:
    client = holders.start("trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 1; done")
    client.attach()
    client.until(b"ready")
    client.send(typed(1, b"\x03"))
    assert finished(client).code == 3
    assert b"interrupted" in client.output


# --- Frames ---


@everywhere
def test_frames_may_come_byte_by_byte(holders: Holders) -> None:
    client = holders.start()
    for byte in attach() + typed(1, b"hi\n") + frames.ping(9):
        client.send(bytes([byte]))
    client.expect(frames.HELLO)
    assert taken(client) == (7, 1)
    client.expect(frames.PONG)


def test_unknown_types_are_skipped(holders: Holders) -> None:
    client = holders.start()
    unknown = frames.frame(b"?", b"x" * 65_531)
    client.send(unknown, frames.frame(b"\0"), frames.frame(b"H"), attach(), unknown, frames.frame(b"!"), frames.ping(1))
    client.expect(frames.HELLO)
    client.expect(frames.PONG)


@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize(
    "bad",
    [
        b"\0\0\0P",
        (65_533).to_bytes(3) + b"?",
        b"\xff\xff\xff?",
        frames.frame(b"A", bytes(41)),
        frames.frame(b"A", bytes(43)),
        frames.frame(b"I", bytes(16)),
        frames.frame(b"I", bytes(16 + 32_769)),
        frames.frame(b"W", bytes(7)),
        frames.frame(b"C", bytes(8)),
        frames.frame(b"R"),
        frames.frame(b"P", bytes(5)),
        frames.frame(b"Q", b"x"),
        frames.frame(b"Z", b"x"),
    ],
)
def test_a_bad_frame_cuts_the_attach(holders: Holders, bad: bytes, *, attached: bool) -> None:
    client = holders.start()
    if attached:
        client.attach()
    client.send(bad)
    assert client.error()[0] == FRAME
    assert holders.attach().attach(epoch=1).epoch == 1


def test_a_wrong_size_is_refused_before_the_payload_came(holders: Holders) -> None:
    client = holders.start()
    client.attach()
    client.send(frames.frame(b"I", bytes(60_000))[:4])
    assert client.error()[0] == FRAME


@pytest.mark.parametrize("first", [typed(1, b"x"), frames.ping(1), frames.frame(b"Z"), frames.frame(b"Q")])
def test_the_first_frame_must_be_an_attach(holders: Holders, first: bytes) -> None:
    client = holders.start()
    client.send(first)
    assert client.error()[0] == FRAME


def test_another_version_is_refused(holders: Holders) -> None:
    client = holders.start()
    data = bytearray(attach())
    data[4] = 2
    client.send(bytes(data))
    assert client.error()[0] == VERSION


def test_a_client_that_does_not_take_its_answers_is_not_read_any_further(holders: Holders) -> None:
    client = holders.start(pipes=True)
    client.attach()
    os.set_blocking(client.writer, False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < 10_000_000:
            sent += os.write(client.writer, frames.ping(1) * 100)
    assert sent < 1_000_000
    os.set_blocking(client.writer, True)
    rest = -sent % 8
    threading.Thread(target=client.send, args=((frames.ping(1))[8 - rest :],)).start()
    for _ in range((sent + rest) // 8):
        client.expect(frames.PONG)


# --- Size and status ---


@everywhere
def test_the_size_follows_the_owner(holders: Holders) -> None:
    client = holders.start("trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done")
    hello = client.attach(size=(100, 30))
    assert (hello.cols, hello.rows) == (100, 30)
    client.until(b"ready")
    client.send(frames.resize(120, 40))
    client.until(b"40 120\r\n")
    client.send(frames.resize(0, 10), frames.resize(10, 0))
    client.close()
    client = holders.attach()
    hello = client.attach(epoch=2, size=(0, 0))
    assert (hello.cols, hello.rows) == (120, 40)


@everywhere
def test_status_tells_the_foreground_command_by_itself(holders: Holders) -> None:
    client = holders.run("start", "t-1", "80", "24", "-s", "/bin/bash", "-e", "HOME=/nowhere")
    client.attach()
    client.status(lambda status: status.shell and not status.echo)
    client.send(typed(1, b"sleep 600\n"))
    while (status := frames.read_status(client.expect(frames.STATUS))).command != "sleep":
        pass
    assert (status.shell, status.echo, status.canonical) == (False, True, True)
    client.send(typed(2, b"\x03"))
    while not (status := frames.read_status(client.expect(frames.STATUS))).shell:
        pass
    assert status.command == "bash"


def test_status_names_who_is_left_of_a_pipeline(holders: Holders) -> None:
    client = holders.run("start", "t-1", "80", "24", "-s", "/bin/bash")
    client.attach()
    client.send(typed(1, b"true | sleep 600\n"))
    client.status(lambda status: not status.shell and status.command == "sleep")


def test_status_comes_at_most_once_a_second(holders: Holders) -> None:
    client = holders.start("while :; do printf '\\033[?2004h'; sleep 0.05; printf '\\033[?2004l'; sleep 0.05; done")
    client.attach()
    times = []
    for _ in range(3):
        client.expect(frames.STATUS)
        times.append(time.monotonic())
    assert times[2] - times[0] > 1.9


@pytest.mark.parametrize(
    ("output", "modes"),
    [
        ("", {7, 25}),
        (r"\033[?1049h\033[?2004h\033[?25l", {7, 1049, 2004}),
        (r"\033[?1;6;12h", {1, 6, 7, 12, 25}),
        (r"\033[?1049h\033[?47l", {7, 25}),
        (r"\033[?1000h\033[?1003h\033[?1006h", {7, 25, 1003, 1006}),
        (r"\033[?1002;1006h\033[?1000l", {7, 25, 1006}),
        (r"\033[?2004;1h\033c", {7, 25}),
        (r"\033[?2004;1;1049h\033[?7l\033[!p", {7, 25, 1049}),
        (r"\033[2004h\033[>2004h\033[?2004$p\033[?2004\030h", {7, 25}),
        (r"\033[?20\n04h", {7, 25, 2004}),
        (r"\033]0;\033[?2004h", {7, 25, 2004}),
        (r"\033[?99999999999h\033[?;h", {7, 25, 65_535}),
        ("".join(rf"\033[?{n}h" for n in range(2000, 2100)), {7, 25, *range(2000, 2030)}),
    ],
)
def test_status_tells_the_modes_that_are_set(holders: Holders, output: str, modes: set[int]) -> None:
    # One byte per write, so that every sequence is split everywhere.
    client = holders.start(f"stty raw -echo; printf '{output}' | dd bs=1 2>/dev/null; printf end; exec cat")
    client.attach()
    client.until(b"end")
    status = client.status()
    assert set(status.modes) == modes
    assert status.alternate == (1049 in modes)
    assert status.bracketed_paste == (2004 in modes)


def test_status_counts_the_users_other_processes(holders: Holders) -> None:
    client = holders.run("start", "t-1", "80", "24", "-u", "daemon", "-s", "/bin/sh")
    client.attach()
    before = client.status().others
    client.send(typed(1, b"setsid sleep 600 </dev/null >/dev/null 2>&1 & echo pid $!.\n"))
    client.until(b"pid ")
    client.status(lambda status: status.others == before + 1)
    client.send(typed(2, b"pkill -u daemon -x sleep || kill %1 $!\n"))
    client.status(lambda status: status.others == before)


# --- The end ---


@everywhere
@pytest.mark.parametrize(
    ("script", "code"), [("exit 7", 7), ("kill -KILL $$", 137), ("kill -SEGV $$", 139), ("true", 0)]
)
def test_the_exit_code_comes_after_the_last_output(holders: Holders, script: str, code: int) -> None:
    client = holders.start(f"printf 'the end'; {script}")
    client.attach()
    ended = finished(client)
    assert client.output == b"the end"
    assert (ended.code, ended.offset) == (code, 7)
    assert abs(ended.time - time.time()) < 10


@everywhere
def test_a_late_owner_gets_the_last_output_and_the_exit(holders: Holders) -> None:
    client = holders.start("stty -opost; seq 1 1000; exit 5")
    client.attach()
    finished(client)
    client.close()
    client = holders.attach()
    hello = client.attach(epoch=2)
    assert hello.exited
    assert (hello.cols, hello.rows) == (80, 24)
    assert finished(client).code == 5
    assert numbers(client.output) == list(range(1, 1001))


def test_the_exit_waits_for_the_window(holders: Holders) -> None:
    client = holders.start("stty -opost; head -c 9000 /dev/zero; exit 5", acks=False)
    client.attach(window=4_096)
    while len(client.output) < 4_096:
        client.expect(frames.OUTPUT)
    client.send(frames.ping(1))
    client.expect(frames.PONG)
    client.acks = True
    client.send(frames.ack(4_096, 4_096))
    assert finished(client).offset == len(client.output) == 9_000


@everywhere
def test_after_the_linger_the_record_tells_the_exit(new_holders: Callable[..., Holders]) -> None:
    holders = new_holders(EDUCENTER_HOLDER_LINGER_MS="100")
    client = holders.start("printf 12345; exit 6")
    birth = client.attach().birth
    finished(client)
    client.ended()
    wait_for(lambda: not holders.pids())
    assert not (holders.state / "t-1.sock").exists()
    for late in (holders.attach(), holders.start()):
        hello = late.attach(epoch=8, offset=2, birth=birth)
        assert (hello.exited, hello.birth, hello.epoch, hello.head, hello.start) == (True, birth, 8, 5, 2)
        gap = late.read()
        assert gap is not None
        assert frames.read_pair(gap) == (2, 5)
        ended = finished(late)
        assert (ended.code, ended.offset) == (6, 5)
        late.ended()
        assert late.bridge.wait(10) == 0
    other = holders.attach()
    other.send(attach(birth=b"x" * 16))
    assert other.error()[0] == BIRTH
    assert not holders.pids()


def test_a_background_job_does_not_hold_up_the_exit(holders: Holders) -> None:
    client = holders.start("(trap '' HUP; while echo flood; do :; done) & exit 4")
    client.attach()
    assert finished(client).code == 4


@everywhere
def test_hang_up_ends_shell_and_foreground(holders: Holders) -> None:
    client = holders.start("trap 'echo hung up; exit 9' HUP; echo ready; while :; do sleep 0.1; done")
    client.attach()
    client.until(b"ready")
    client.send(frames.frame(frames.HANGUP))
    assert finished(client).code == 9
    assert b"hung up" in client.output


def test_hang_up_kills_who_ignores_it(holders: Holders) -> None:
    client = holders.start("trap '' HUP TERM; (sleep 600; :) & echo $$; echo ready; while :; do sleep 600; done")
    client.attach()
    session = int(client.until(b"ready").split()[0])
    client.send(frames.frame(frames.HANGUP))
    assert finished(client).code == 137
    wait_for(lambda: not [path for path in Path("/proc").glob("[0-9]*") if stat_field(path, 3) == session])


def test_hang_up_of_an_ended_shell_ends_the_holder_at_once(holders: Holders) -> None:
    client = holders.start("exit 5")
    client.attach()
    finished(client)
    client.send(frames.frame(frames.HANGUP))
    client.ended()
    wait_for(lambda: not holders.pids())
    late = holders.attach()
    late.attach()
    assert finished(late).code == 5


def test_input_for_an_ended_shell_is_dropped(holders: Holders) -> None:
    client = holders.start("exit 5")
    client.attach()
    finished(client)
    for seq in range(1, 6):
        client.send(typed(seq, b"x" * 32_768))
        assert taken(client) == (7, seq)


# --- Hostile students, quiet nights ---


def cpu_ticks(pid: int) -> int:
    return stat_field(Path(f"/proc/{pid}"), 11) + stat_field(Path(f"/proc/{pid}"), 12)


def wakeups(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def test_an_idle_holder_sleeps(new_holders: Callable[..., Holders]) -> None:
    holders = new_holders(EDUCENTER_HOLDER_GRACE_MS="0")
    client = holders.start()
    client.attach()
    client.close()
    pid = holders.pid()
    wait_for(lambda: len(holders.pids()) == 1)
    before = wakeups(pid)
    time.sleep(1.5)  # the time in which it must do nothing
    assert wakeups(pid) - before <= 1


@everywhere
def test_a_shell_that_closes_its_terminal_costs_nothing(holders: Holders) -> None:
    client = holders.start("echo ready; exec <&- >&- 2>&-; sleep 1; exec >/dev/tty; echo back; exec sleep 600")
    client.attach()
    client.until(b"ready")
    client.until(b"back")
    assert cpu_ticks(holders.pid()) < 20


def test_the_shell_cannot_signal_the_holder(holders: Holders) -> None:
    client = holders.run("start", "t-1", "80", "24", "-u", "daemon", "-s", "/bin/sh")
    client.attach()
    client.send(typed(1, b"for s in STOP INT HUP KILL; do kill -$s $PPID; done; echo al''ive\n"))
    client.until(b"alive")


def test_a_claimant_that_died_before_its_claim_was_read_cuts_nobody(holders: Holders) -> None:
    owner = holders.start()
    owner.attach(epoch=1)
    pid = holders.pid()
    ghost = holders.attach(pipes=True)
    wait_for(lambda: sum(name.startswith("pipe:") for name in descriptors(pid)) == 2)
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: ") T " in Path(f"/proc/{pid}/stat").read_text())
    ghost.send(attach(epoch=2))
    ghost.bridge.kill()
    ghost.bridge.wait()
    os.kill(pid, signal.SIGCONT)
    ghost.ended()
    owner.send(frames.ping(1))
    owner.expect(frames.PONG)


def test_a_stray_connection_without_descriptors_is_dropped(holders: Holders) -> None:
    owner = holders.start()
    owner.attach()
    with socket.socket(socket.AF_UNIX) as stray:
        stray.connect(f"/proc/self/fd/{os.open(holders.state, os.O_RDONLY)}/t-1.sock")
        stray.send(b"x")
        assert stray.recv(1) == b""
    owner.send(frames.ping(1))
    owner.expect(frames.PONG)
