"""UUIDs of messages: who sent it, in which order, and its part in a transaction. Pure.

They are UUIDs of version 1 (RFC 9562) whose node is the producer, and whose clock sequence holds
four more bits of the clock, and ten of flags:

    time_low, time_mid, time_hi    the upper 60 bits of the clock
    clock sequence, 14 bits        4: the lower bits of the clock; 10: flags
    node                           the producer

Invariants:
    U1  A producer never gives a clock twice, nor a smaller one later.
    U2  All 64 bits of the clock count for order: some producers tick by the lower four.

Units: a clock counts 1/16 of 100 ns since 1582-10-15; times are Unix nanoseconds.
Source: gazette/core message/uuid.go.
"""

from enum import IntEnum
from typing import Final
from uuid import UUID

PRODUCER_BYTES: Final = 6

EPOCH: Final = 122_192_928_000_000_000
"""From the first day of the Gregorian calendar to that of Unix, in 100 ns."""

_TICK: Final = 160  # A microsecond.
_CLOCK_MAX: Final = (1 << 64) - 1
_FLAGS_MAX: Final = (1 << 10) - 1
_MULTICAST: Final = 0x01


class Flags(IntEnum):
    """A message's part in a transaction. Others are to be taken for `OUTSIDE_TXN`."""

    OUTSIDE_TXN = 0  # Done as soon as it is read.
    CONTINUE_TXN = 1  # Done once it is acknowledged.
    ACK_TXN = 2  # Acknowledges those of its producer up to its clock, and rolls back what follows.


class ProducerClock:
    """The clock of a producer. Its owner moves it in the order in which messages are written."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def update(self, unix_ns: int) -> None:
        """Move on to a time, if that is ahead."""
        self.value = max(self.value, clock_at(unix_ns))

    def tick(self) -> int:
        """Move on by a microsecond, and return the new value."""
        self.value += _TICK
        return self.value


def clock_at(unix_ns: int) -> int:
    """Return the clock at a time."""
    return (unix_ns // 100 + EPOCH) << 4


def time_ns_at(clock: int) -> int:
    """Return the time of a clock, a multiple of 100 ns."""
    return ((clock >> 4) - EPOCH) * 100


def make_producer(random: bytes) -> bytes:
    """Return the ID of a producer, made of six random bytes.

    An ID is that of one run: it is neither stored nor used again. It has the multicast bit, as no
    address of a network card has.
    """
    assert len(random) == PRODUCER_BYTES
    return bytes([random[0] | _MULTICAST]) + random[1:]


def make_uuid(producer: bytes, clock: int, flags: int) -> UUID:
    """Return the UUID of a message.

    Args:
        producer: Six bytes.
        clock: Of 64 bits.
        flags: Of `Flags`, or any other value of ten bits.
    """
    assert len(producer) == PRODUCER_BYTES
    assert 0 <= clock <= _CLOCK_MAX
    assert 0 <= flags <= _FLAGS_MAX
    low, mid, high = (clock >> 4) & 0xFFFFFFFF, (clock >> 36) & 0xFFFF, clock >> 52
    sequence = 0x8000 | (clock & 0xF) << 10 | flags
    return UUID(
        bytes=low.to_bytes(4)
        + mid.to_bytes(2)
        + (0x1000 | high).to_bytes(2)
        + sequence.to_bytes(2)
        + producer
    )


def producer_of(uuid: UUID) -> bytes:
    """Return who sent the message: six bytes."""
    return uuid.bytes[10:]


def clock_of(uuid: UUID) -> int:
    """Return the clock."""
    return uuid.time << 4 | (uuid.bytes[8] >> 2) & 0xF


def flags_of(uuid: UUID) -> int:
    """Return the flags, perhaps none of `Flags`."""
    return int.from_bytes(uuid.bytes[8:10]) & _FLAGS_MAX
