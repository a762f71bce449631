"""Content at a pace, by a clock of the test."""

from io import BytesIO

import pytest
from manual_clock import ManualClock

from gazette_py.cli.appending import Spooled
from gazette_py.cli.byte_input import ByteInput
from gazette_py.cli.pace import Pace, Paced
from gazette_py.cli.progress import Progress


async def test_bytes_pass_at_their_pace() -> None:
    clock = ManualClock()
    pace = Pace(clock, 1000)
    passed = []
    for count in (500, 2000, 100):
        await pace.take(count)
        passed.append(clock.time)

    assert passed == [100.0, 100.5, 102.5]


async def test_time_which_was_not_used_is_lost() -> None:
    clock = ManualClock()
    pace = Pace(clock, 1000)
    await pace.take(1000)
    clock.time += 60

    await pace.take(1000)
    await pace.take(1)

    assert clock.time == 161.0


async def test_content_comes_in_small_pieces_as_often_as_asked() -> None:
    clock = ManualClock()
    with BytesIO() as file:
        spooled = Spooled(file, Progress())
        await spooled.fill(ByteInput(BytesIO(bytes(range(250)))))
        paced = Paced(spooled, Pace(clock, 100))

        for _ in range(2):
            pieces = [piece async for piece in paced]
            assert b"".join(pieces) == bytes(range(250))
            assert {len(piece) for piece in pieces} == {10}

    assert clock.time == pytest.approx(104.9)
