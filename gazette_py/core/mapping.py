"""Which of several journals a message goes to. Pure.

Journals are in name order, as brokers list them: other programs, in other languages, map the same
keys to the same journals.

Source: gazette/core message/routines.go.
"""

from collections.abc import Sequence

_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193


def fnv1a_32(data: bytes) -> int:
    """Return the 32-bit FNV-1a hash."""
    value = _FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return value


def modulo(key: bytes, journals: Sequence[str]) -> str:
    """Return the journal at the key's hash. One more or less journal moves most keys."""
    return journals[fnv1a_32(key) % len(journals)]


class Rendezvous:
    """Maps each key to the journal of the greatest weight: another journal moves few keys."""

    def __init__(self, journals: Sequence[str]) -> None:
        self._journals = journals
        self._hashes = [fnv1a_32(journal.encode()) for journal in journals]

    def __call__(self, key: bytes) -> str:
        """Return the key's journal."""
        key_hash = fnv1a_32(key)
        best, best_weight = 0, 0  # The first one wins ties, also if all weights are zero.
        for i, journal_hash in enumerate(self._hashes):
            if key_hash ^ journal_hash > best_weight:
                best, best_weight = i, key_hash ^ journal_hash
        return self._journals[best]
