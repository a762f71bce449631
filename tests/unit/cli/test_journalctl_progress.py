"""Bars on terminals, and on nothing else."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from manual_clock import ManualClock
from terminals import TIMEOUT_S, on_terminal, started

from gazette_py.cli.progress import Meter, Progress
from gazette_py.client.sync import connect
from gazette_py.testing import InProcessCluster

CONTENT = b"".join(b"%063d\n" % n for n in range(200_000))


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as cluster:
        cluster.create("bars/long", "bars/more", "bars/follow", "bars/append")
        with connect(cluster.address) as client:
            client.append("bars/long", CONTENT)
            client.append("bars/more", CONTENT)
        yield cluster


def meter(**options: object) -> Meter:
    return Progress(clock=ManualClock()).meter("a", **options)  # type: ignore[arg-type]


def test_a_rate_is_that_of_the_last_seconds() -> None:
    made = meter(total=10_000)
    assert made.sample(0.0) == 0.0  # It has not begun.
    rates = []
    for second in range(12):
        made.move(second * 100 if second < 6 else 600 + (second - 6) * 500, begin=0)
        rates.append(round(made.sample(float(second))))

    assert rates[:3] == [0, 100, 100]
    assert rates[-1] == 500


@pytest.mark.parametrize(
    ("done", "rate", "expected"),
    [
        (1024, 0.5, ("1.0 KiB/9.8 KiB", "0 B/s", "ETA -:--")),
        (1024, 100.0, ("1.0 KiB/9.8 KiB", "100 B/s", "ETA 1:30")),
        (1024, 1.5, ("1.0 KiB/9.8 KiB", "1 B/s", "ETA 1:39:44")),
        (20_000, 1024.0, ("19.5 KiB/9.8 KiB", "1.0 KiB/s", "ETA 0:00")),
    ],
)
def test_what_is_left_is_told_in_time(
    done: int, rate: float, expected: tuple[str, str, str]
) -> None:
    made = meter(total=10_000)
    made.move(done)
    assert made.as_texts(rate) == expected


def test_things_are_counted() -> None:
    made = meter(total=3000, is_count=True)
    made.advance()
    made.advance(1023)
    assert made.as_texts(100.0) == ("1024/3000", "100/s", "ETA 0:20")


def test_who_follows_is_told_the_lag() -> None:
    made = meter(is_following=True)
    made.move(500, begin=100)
    assert made.as_texts(10.0) == ("400 B", "10 B/s", "")
    made.move(600, 2648, begin=0)
    assert made.as_texts(10.0) == ("500 B", "10 B/s", "lag 2.0 KiB")


def test_a_read_shows_each_journal_and_their_sum(cluster: InProcessCluster) -> None:
    args = ("read", "bars/long", "bars/more", "--broker.address", cluster.address)
    with on_terminal(*args) as (process, terminal):
        assert process.stdout is not None
        fd = process.stdout.fileno()
        read = 0

        def take() -> None:
            """Take some of the output: slowly, so that there is something to wait for."""
            nonlocal read
            if read < len(CONTENT) // 2:
                read += len(os.read(fd, 1 << 16))

        terminal.watch("ETA ", take)
        terminal.watch("/12.2 MiB")
        terminal.watch("all 2")
        rest = process.stdout.read()
        terminal.watch("")
        assert process.wait(TIMEOUT_S) == 0

    assert read + len(rest) == 2 * len(CONTENT)
    assert "bars/long" in terminal.seen
    assert terminal.seen.count("% Reached end of bars/") == 2


def test_who_follows_sees_the_lag(cluster: InProcessCluster) -> None:
    args = ("read", "bars/follow", "-f", "--broker.address", cluster.address)
    with (
        connect(cluster.address) as client,
        on_terminal(*args, stdout=subprocess.DEVNULL) as (process, terminal),
    ):
        terminal.watch("lag ", lambda: client.append("bars/follow", b"x\n"))
        process.send_signal(signal.SIGINT)
        terminal.watch("")
        assert process.wait(TIMEOUT_S) == 130
    assert "\x1b[?25h" in terminal.seen[terminal.seen.rindex("lag ") :]  # There is a cursor again.


@pytest.mark.parametrize("framing", ["none", "lines"])
def test_an_append_shows_how_much_of_its_input_is_done(
    cluster: InProcessCluster, tmp_path: Path, framing: str
) -> None:
    path = tmp_path / "in"
    path.write_bytes(CONTENT[: 1 << 20] * 3)
    args = ("append", "bars/append", "-i", str(path), "--framing", framing)
    pace = ("--rate", "1MiB", "--max-inflight", "128KiB")
    with on_terminal(*args, *pace, "--broker.address", cluster.address) as (process, terminal):
        terminal.watch("/3.0 MiB")
        out = process.communicate(timeout=TIMEOUT_S)[0]
        terminal.watch("")

    assert "appending" in terminal.seen
    assert out.startswith(b"bars/append\t")
    assert b"\x1b" not in out


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (("--no-progress",), {}),
        ((), {"TERM": "dumb"}),
        ((), {"TERM": ""}),
    ],
)
def test_nothing_is_drawn_if_it_is_not_wanted(
    cluster: InProcessCluster, tmp_path: Path, args: tuple[str, ...], env: dict[str, str]
) -> None:
    path = tmp_path / "in"
    path.write_bytes(CONTENT[: 1 << 20])
    command = ("append", "bars/append", "-i", str(path), "--rate", "700KiB", *args)
    with on_terminal(*command, "--broker.address", cluster.address, env=env) as (
        process,
        terminal,
    ):
        terminal.watch("")
        assert process.wait(TIMEOUT_S) == 0

    assert terminal.seen == ""


def test_nothing_is_drawn_into_a_pipe(cluster: InProcessCluster, tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(CONTENT[: 1 << 20])
    command = ("append", "bars/append", "-i", str(path), "--rate", "700KiB", "-q")
    with started(*command, "--broker.address", cluster.address) as process:
        assert process.communicate(timeout=TIMEOUT_S) == (b"", b"")


def test_what_is_done_soon_loads_nothing() -> None:
    clock = ManualClock()
    progress = Progress(is_shown=True, clock=clock)
    with progress:
        made = progress.meter("a")
        clock.time += 0.4
        made.move(1)
        made.close()
        assert progress.is_drawn is False
