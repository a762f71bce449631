"""Which stored fragments of a journal are old enough to go, and which stay nevertheless. Pure.

Invariants:
    RT1  A fragment which was stored after the bound stays, as does one of unknown age.
    RT2  A fragment which ends where all of them end stays: after the loss of all brokers it alone
         tells up to where the journal was written, and no offset must be written twice.
    RT3  What stays has every byte which there was, from its first one on: content goes from the
         journal's beginning, and no hole comes into being behind it. Readers would wait at it.
    RT4  The plan of what stays is that all of it stays: nothing new goes until time passes.

Units: offsets are journal byte offsets, times are Unix seconds.
Source: gazette/core cmd/gazctl/gazctlcmd/journals_prune.go, which asks for RT1 alone.
"""

from collections.abc import Sequence
from enum import StrEnum

from gazette_py.core.cover_set import CoverSet, is_covered
from gazette_py.protocol.fragment import Fragment


class Verdict(StrEnum):
    """What becomes of a fragment, and if it stays, why."""

    REMOVE = "remove"
    YOUNG = "young"  # RT1
    LAST = "last"  # RT2
    RECENT = "recent"  # It holds some of the last bytes which were asked to stay.
    BETWEEN = "between"  # RT3: it holds content behind the first byte which stays.
    COVERED = "covered"  # Others which stay hold all of it; it may go, if that is wanted.


def plan(
    fragments: Sequence[Fragment],
    *,
    stored_until: int,
    keep_bytes: int = 0,
    include_covered: bool = False,
) -> list[Verdict]:
    """Return the verdict on each fragment of one journal.

    Args:
        fragments: All of the journal, in all of its stores.
        stored_until: Those stored at or before are old.
        keep_bytes: Of the last content, which stay however old they are.
        include_covered: Also remove what is old and within others which stay.
    """
    last = max((fragment.end for fragment in fragments), default=0)

    def reason_to_stay(fragment: Fragment) -> Verdict | None:
        if not 0 < fragment.mod_time <= stored_until:
            return Verdict.YOUNG
        if fragment.end == last:
            return Verdict.LAST
        return Verdict.RECENT if fragment.end > last - keep_bytes else None

    reasons = [reason_to_stay(fragment) for fragment in fragments]
    kept = [each for each, reason in zip(fragments, reasons, strict=True) if reason is not None]
    covering = CoverSet(kept)
    floor = min((fragment.begin for fragment in kept), default=last)
    sums: dict[tuple[int, int], set[bytes]] = {}
    for fragment in kept:
        sums.setdefault((fragment.begin, fragment.end), set()).add(fragment.sum)

    def verdict_on_old(fragment: Fragment) -> Verdict:
        # One of the same extent and other content was written by another primary: nobody else
        # holds what it has.
        is_other = fragment.sum not in sums.get((fragment.begin, fragment.end), {fragment.sum})
        if is_other or not is_covered(max(fragment.begin, floor), fragment.end, covering):
            return Verdict.BETWEEN
        if fragment.begin < floor or include_covered:
            return Verdict.REMOVE
        return Verdict.COVERED

    return [
        reason if reason is not None else verdict_on_old(fragment)
        for fragment, reason in zip(fragments, reasons, strict=True)
    ]
