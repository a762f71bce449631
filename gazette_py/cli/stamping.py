"""UUIDs for the records which a command appends, each after those before it in its journal."""

from collections.abc import Mapping
from uuid import UUID

from gazette_py.cli.errors import usage
from gazette_py.clock import Clock
from gazette_py.message.framing import Splitter
from gazette_py.message.serdes import MessageError, Serde
from gazette_py.message.uuids import (
    PRODUCER_BYTES,
    Flags,
    ProducerClock,
    make_producer,
    make_uuid,
)


class Stamps:
    """UUIDs of a producer, one after another, each of a message which is part of no transaction."""

    def __init__(self, clock: Clock) -> None:
        self._system = clock
        self._producer = make_producer(bytes.fromhex(clock.token_hex(PRODUCER_BYTES)))
        self._clock = ProducerClock()

    def refresh(self) -> None:
        """Follow the time."""
        self._clock.update(int(self._system.now() * 1e9))

    def next(self) -> UUID:
        """Return the next one."""
        return make_uuid(self._producer, self._clock.tick(), Flags.OUTSIDE_TXN)


class Stamper:
    """Attaches UUIDs to records. It is to be called in the order in which they are appended."""

    def __init__(self, stamps: Stamps, splitter: Splitter, serdes: Mapping[str, Serde]) -> None:
        """Build it.

        Args:
            stamps: Gives UUIDs.
            splitter: Knows the framing of records.
            serdes: Know where a UUID goes, by journal.
        """
        self._stamps = stamps
        self._splitter = splitter
        self._serdes = serdes
        self._count = 0

    def refresh(self) -> None:
        """Follow the time."""
        self._stamps.refresh()

    def stamp(self, journal: str, record: bytes) -> bytes:
        """Return the record with the next UUID.

        Raises:
            CommandError: It cannot bear one.
        """
        self._count += 1
        try:
            value = self._splitter.value_of(record)
            return self._serdes[journal].attach(value, self._stamps.next())
        except MessageError as exc:
            raise usage(
                f"record {self._count}",
                f"{exc}; batches before it were appended",
                "--attach-uuid is for lines which are JSON objects, and for rows of CSV.",
            ) from exc
