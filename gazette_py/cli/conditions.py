"""What can be waited for of a journal, and what it lacks. Nothing of the journal is changed.

A condition is asked for as text, and answers with what is missing, or with nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gazette_py.errors import GazetteError
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel
from gazette_py.protocol.fragment import Fragment

if TYPE_CHECKING:
    from gazette_py.client.client import Client
    from gazette_py.client.inspection import Inspected
    from gazette_py.client.listing import ListedJournal

_HEAD = re.compile(r"head>=(\d+)")
_KINDS = ("primary", "consistent", "persisted")


@dataclass(frozen=True, slots=True)
class Condition:
    """One of `primary`, `consistent`, `persisted`, or `head` with an offset."""

    kind: str
    offset: int = 0  # Bytes; of `head` only.

    def __str__(self) -> str:
        return f"head>={self.offset}" if self.kind == "head" else self.kind


def parse_condition(text: str) -> Condition:
    """Return the condition of a text.

    Raises:
        ValueError: It is none.
    """
    compact = text.replace(" ", "")
    if (found := _HEAD.fullmatch(compact)) is not None:
        return Condition("head", int(found[1]))
    if compact in _KINDS:
        return Condition(compact)
    raise ValueError(f"{text!r} is none of {', '.join(_KINDS)} or head>=N")


async def lacking(
    client: "Client", journal: "ListedJournal", condition: Condition, began_at: int | None
) -> str:
    """Return what a journal lacks of a condition, in words; "" if it holds.

    Args:
        client: To ask brokers by.
        journal: As listed just now.
        condition: What is wanted.
        began_at: Its write head when the wait began: `persisted` means all before it.

    Raises:
        GazetteError: It could not be found out.
    """
    suspend = journal.spec.suspend
    is_suspended = suspend.level is SuspendLevel.FULL
    match condition.kind:
        case "head":
            head = suspend.offset if is_suspended else await client.write_head(journal.spec.name)
            return "" if head >= condition.offset else f"its write head is at {head}"
        case "persisted":
            if is_suspended:
                return ""  # Which it became by having all of it stored.
            if not journal.spec.fragment.stores:
                return "it has no stores: nothing of it is ever persisted"
            assert began_at is not None, "only of suspended journals it is not asked"
            listed = [each.fragment async for each in client.fragments(journal.spec.name)]
            return lacking_persisted(listed, began_at)
        case "primary":
            return lacking_primary(journal)
        case _:
            lacks = await _lacking_consistency(client, journal)
            return lacks and (lacking_brokers(journal) or lacks)


def lacking_primary(journal: "ListedJournal") -> str:
    """Return why nobody leads it; "" if somebody does."""
    if journal.spec.suspend.level is SuspendLevel.FULL:
        return "it is suspended: `journalctl resume` or an append has brokers take it up"
    return "" if journal.route.primary >= 0 else "no broker is its primary"


def lacking_brokers(journal: "ListedJournal") -> str:
    """Return how many brokers are missing; "" if none are. Suspended journals want fewer.

    Brokers may bound replication further, and it is then they who know what is missing.
    """
    wanted = journal.spec.desired_replication(journal.spec.replication)
    have = len(journal.route.members)
    if have < wanted:
        return f"{have} of {wanted} brokers serve it"
    return "no broker is its primary" if wanted and journal.route.primary < 0 else ""


def lacking_persisted(fragments: Sequence[Fragment], end: int) -> str:
    """Return what of `[0, end)` is in no store, given all fragments which brokers know of."""
    away = [f for f in fragments if not f.mod_time and f.begin < end]
    stored = max((f.end for f in fragments if f.mod_time), default=0)
    if not away and stored >= end:
        return ""
    begin = min((f.begin for f in away), default=stored)
    return f"offsets from {begin} to {end} are in no store yet"


async def _lacking_consistency(client: "Client", journal: "ListedJournal") -> str:
    if not journal.spec.desired_replication(journal.spec.replication):
        return ""  # It is suspended, and wants none.
    from gazette_py.client.inspection import NOT_OURS

    inspected = await client.inspect(journal)
    if any(each.refusal == NOT_OURS for each in inspected):
        # A barrier, which changes nothing, returns once all replicas agree.
        try:
            await client.append(journal.spec.name, suspend=AppendSuspend.KEEP)
        except GazetteError as exc:
            if not exc.retryable:
                raise
            return str(exc)
        return ""
    return _disagreement(inspected)


def _disagreement(inspected: "tuple[Inspected, ...]") -> str:
    for each in inspected:
        if each.refusal:
            return f"{each.broker} does not tell: {each.refusal}"
        if not each.is_consistent:
            who = each.broker if each.endpoint else "the broker which was asked"
            return f"by {who}, its brokers do not agree yet who they are"
    return ""
