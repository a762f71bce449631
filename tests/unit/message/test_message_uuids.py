"""UUIDs of messages, by examples which other programs made."""

from uuid import UUID

import pytest

from gazette_py.message.uuids import (
    Flags,
    ProducerClock,
    clock_at,
    clock_of,
    flags_of,
    make_producer,
    make_uuid,
    producer_of,
    time_ns_at,
)

PRODUCER = bytes.fromhex("0d04970419de")
NANOSECONDS = 1_567_304_621_981_273_734  # 2019-09-01 02:23:41.981273734 UTC


@pytest.mark.parametrize(
    ("clock", "flags", "expected"),
    [
        (0x1E9CC5F83FC2F950, Flags.OUTSIDE_TXN, "83fc2f95-cc5f-11e9-8000-0d04970419de"),
        (0x1E9CC5F83FC2F950, Flags.CONTINUE_TXN, "83fc2f95-cc5f-11e9-8001-0d04970419de"),
        (0x1E9CC5F83FC2F950, Flags.ACK_TXN, "83fc2f95-cc5f-11e9-8002-0d04970419de"),
        (0x1E9CC5F83FC2F950, 682, "83fc2f95-cc5f-11e9-82aa-0d04970419de"),
        (0x1E9CC5F83FC2F955, Flags.CONTINUE_TXN, "83fc2f95-cc5f-11e9-9401-0d04970419de"),
    ],
)
def test_a_uuid_holds_producer_clock_and_flags(clock: int, flags: int, expected: str) -> None:
    uuid = make_uuid(PRODUCER, clock, flags)
    assert str(uuid) == expected
    assert (producer_of(uuid), clock_of(uuid), flags_of(uuid)) == (PRODUCER, clock, flags)


def test_uuids_of_other_producers_are_read() -> None:
    sent = UUID("0d2b9119-f9b7-11e9-8c01-6fb7f64cdd31")
    acknowledged = UUID("0d2b9119-f9b7-11e9-9002-6fb7f64cdd31")
    assert (clock_of(sent), flags_of(sent)) == (0x1E9F9B70D2B91193, Flags.CONTINUE_TXN)
    assert (clock_of(acknowledged), flags_of(acknowledged)) == (0x1E9F9B70D2B91194, Flags.ACK_TXN)


def test_the_clock_follows_time_and_never_goes_back() -> None:
    clock = ProducerClock()
    clock.update(NANOSECONDS)
    assert clock.value == clock_at(NANOSECONDS) == 0x1E9CC5F83FC2F810
    clock.update(NANOSECONDS - 1_000_000_000)
    assert clock.tick() == 0x1E9CC5F83FC2F8B0
    assert clock.tick() == 0x1E9CC5F83FC2F950
    assert time_ns_at(clock.value) - NANOSECONDS // 100 * 100 == 2_000


def test_a_producer_is_no_network_card() -> None:
    assert make_producer(bytes(6)) == bytes.fromhex("010000000000")
    assert make_producer(PRODUCER) == PRODUCER
