"""Which journal each record of an input goes to. Pure, but for the choice of `random`.

With a mapping by key each record is preceded by its key, in the same framing, unless the key is a
part of the record itself.

Source: gazette/core cmd/gazctl/gazctlcmd/journals_append.go, but for its search of journals by
name, which misses some.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from functools import partial

from gazette_py.cli.errors import usage
from gazette_py.clock import SYSTEM
from gazette_py.core.mapping import Rendezvous, modulo
from gazette_py.message.framing import Splitter
from gazette_py.message.json_pointer import parse_pointer, resolve
from gazette_py.message.serdes import MessageError, Serde

KEYED_MAPPINGS = ("modulo", "rendezvous", "direct")
MAPPINGS = ("random", *KEYED_MAPPINGS)


class Router:
    """Gives each record its journal, and takes the keys out of the input."""

    def __init__(
        self,
        journals: Sequence[str],
        mapping: str,
        *,
        splitter: Splitter,
        serde: Serde,
        pick: Callable[[int], int],
        key_pointer: str | None = None,
        is_base64: bool = False,
    ) -> None:
        """Build it.

        Args:
            journals: To choose from, ascending; at least one.
            mapping: One of MAPPINGS.
            splitter: Knows the framing of records and keys.
            serde: Knows what records say, where they have their keys.
            pick: Returns a random index below its argument.
            key_pointer: JSON pointer to the key in a record; a row of CSV is a list. None: keys
                precede records.
            is_base64: Keys which precede records are encoded so.
        """
        self._journals = journals
        self._splitter = splitter
        self._serde = serde
        self._pick = pick
        self._key_pointer = key_pointer
        self._is_base64 = is_base64
        self._journal_of = self._mapping(mapping)
        self._key: bytes | None = None
        self._count = 0

    @property
    def has_key_only(self) -> bool:
        """Tell whether a key waits for its record."""
        return self._key is not None

    def route(self, record: bytes) -> str | None:
        """Return the journal of a record, or None if it was the key of the next one.

        Raises:
            CommandError: The key is none, or names no journal.
        """
        if self._journal_of is None:
            return self._journals[self._pick(len(self._journals))]
        self._count += 1
        if self._key_pointer is not None:
            return self._journal_of(self._key_in(record))
        if self._key is None:
            self._key = self._key_of(record)
            return None
        key, self._key = self._key, None
        return self._journal_of(key)

    def _mapping(self, mapping: str) -> Callable[[bytes], str] | None:
        match mapping:
            case "modulo":
                return partial(modulo, journals=self._journals)
            case "rendezvous":
                return Rendezvous(self._journals)
            case "direct":
                return partial(_direct, journals=frozenset(self._journals))
            case _:
                return None

    def _key_of(self, record: bytes) -> bytes:
        key = self._splitter.value_of(record)
        if not self._is_base64:
            return key
        try:
            return base64.b64decode(key, validate=True)
        except binascii.Error as exc:
            raise usage(f"record {self._count}", f"its key {key!r} is no base64: {exc}") from exc

    def _key_in(self, record: bytes) -> bytes:
        assert self._key_pointer is not None, "asked for with a pointer only"
        try:
            message = self._serde.decode(self._splitter.value_of(record))
            value = resolve(message, parse_pointer(self._key_pointer))
        except (MessageError, ValueError, LookupError) as exc:
            raise usage(
                f"record {self._count}",
                f"there is no key at {self._key_pointer!r}: {exc}",
                "--key-jsonpointer is like /customer/id, or /0 for the first field of a row.",
            ) from exc
        return (value if isinstance(value, str) else json.dumps(value)).encode()


def _direct(key: bytes, journals: frozenset[str]) -> str:
    name = key.decode(errors="replace")
    if name not in journals:
        raise usage(
            f"key {name!r}",
            "it is none of the journals selected",
            "With --mapping direct the key is a journal's name; `journalctl list` has those.",
        )
    return name


def pick(count: int) -> int:
    """Return a random index below `count`."""
    return min(int(SYSTEM.uniform(0, count)), count - 1)
