"""Lists the fragments of a journal in its stores, for indexes and for readers of files.

Names which are no fragments are skipped, or refused. Objects of another journal whose name
continues ours (`a/b` and `a/b/c`) are its own: they are told from a path postfix by the key space.

Source: gazette/core broker/fragment/index.go, WalkAllStores.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from gazette_py.core.fragment_index import IndexEntry
from gazette_py.errors import ForeignObjectError, ValidationError
from gazette_py.protocol.fragment import content_name, content_path, parse_content_name
from gazette_py.stores.base import ObjectInfo, Store
from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)

SKIPPED_LOGGED_MAX = 3
"""Names of skipped objects which one listing logs."""

OnSkipped = Callable[[str, str, Sequence[str]], None]
"""Hears of a journal, the URL of a store, and its objects which are no fragments, with reasons."""


def log_skipped(journal: str, url: str, skipped: Sequence[str]) -> None:
    """Log what was skipped: programs of others are told so."""
    log.warning(
        "objects_skipped",
        journal=journal,
        store=url.partition("?")[0],
        count=len(skipped),
        first=skipped[:SKIPPED_LOGGED_MAX],
    )


async def list_fragments(
    journal: str,
    stores: Sequence[tuple[str, Store]],
    is_journal: Callable[[str], bool],
    *,
    refuse_foreign: bool = False,
    on_skipped: OnSkipped = log_skipped,
) -> list[IndexEntry]:
    """Return the fragments of all stores, in the stores' order.

    Args:
        journal: Its name.
        stores: Of its spec, by their URLs as the spec spells them.
        is_journal: Tells whether there is a journal of a name.
        refuse_foreign: Raise for an object which is no fragment, rather than skip it. Names which
            begin with a dot, as health checks and probes write them, are skipped in any case.
        on_skipped: Hears of what was skipped in a store, if anything was.

    Raises:
        ForeignObjectError: There is one which shall be refused.
        StoreError: A listing failed. Nothing can be said of the journal's extent.
    """
    walk = walk_fragments(
        journal, stores, is_journal, refuse_foreign=refuse_foreign, on_skipped=on_skipped
    )
    async with aclosing(walk) as walking:
        return [entry async for entry, _ in walking]


async def walk_fragments(
    journal: str,
    stores: Sequence[tuple[str, Store]],
    is_journal: Callable[[str], bool],
    *,
    refuse_foreign: bool = False,
    on_skipped: OnSkipped = log_skipped,
) -> AsyncGenerator[tuple[IndexEntry, int], None]:
    """Yield the fragments of all stores, and of each how many bytes are stored.

    Arguments and errors are those of `list_fragments`.
    """
    for url, store in stores:
        skipped: list[str] = []
        async for listed in store.list(f"{journal}/"):
            if listed.name.endswith("/"):
                continue
            try:
                entry = _entry(journal, url, listed)
            except ValidationError as exc:
                if refuse_foreign and not listed.name.rpartition("/")[2].startswith("."):
                    raise ForeignObjectError(
                        url, "list", f"{journal}/{listed.name}", f"it is no fragment: {exc}"
                    ) from exc
                skipped.append(f"{listed.name} ({exc})")
                continue
            if not _is_of_other(journal, entry.fragment.path_postfix, is_journal):
                yield entry, listed.size
        if skipped:
            on_skipped(journal, url, skipped)


def stored_path(entry: IndexEntry) -> str:
    """Return the path of the object, as it was listed if that is not the canonical one."""
    if entry.listed_name:
        return f"{entry.fragment.journal}/{entry.listed_name}"
    return content_path(entry.fragment)


def _entry(journal: str, url: str, listed: ObjectInfo) -> IndexEntry:
    fragment = replace(
        parse_content_name(journal, listed.name), mod_time=listed.mod_time, backing_store=url
    )
    base = listed.name.rpartition("/")[2]
    is_canonical = base == content_name(fragment)
    return IndexEntry(fragment, None, "" if is_canonical else listed.name)


def _is_of_other(journal: str, postfix: str, is_journal: Callable[[str], bool]) -> bool:
    parts = postfix.split("/") if postfix else []
    return any(is_journal("/".join((journal, *parts[:n]))) for n in range(1, len(parts) + 1))
