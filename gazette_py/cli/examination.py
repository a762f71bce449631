"""Gathers what `diagnosis` judges: calls of brokers and etcd, none of which changes anything.

An append without content tells whether a journal takes appends; brokers write what they write at
any check of a store. A call which fails is a fact like others.
"""

import base64
import binascii
import json
import os
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from gazette_py.cli.connection import Broker
from gazette_py.cli.doctor_facts import (
    BrokerFacts,
    Credentials,
    Facts,
    JournalFacts,
    StoreFacts,
    Trouble,
)
from gazette_py.cli.errors import failure_of
from gazette_py.cli.etcd_options import EtcdAccess
from gazette_py.cli.fanout import for_each
from gazette_py.cli.members import Members, members_of
from gazette_py.cli.selection import Selection
from gazette_py.cli.shadowing import shadows
from gazette_py.clock import SYSTEM
from gazette_py.errors import EtcdError, GazetteError, JournalNotFoundError
from gazette_py.protocol.enums import AppendSuspend, SuspendLevel
from gazette_py.protocol.route import ProcessID

if TYPE_CHECKING:
    from gazette_py.client.client import Client
    from gazette_py.client.inspection import Inspected
    from gazette_py.client.listing import ListedJournal

_T = TypeVar("_T")

_CALL_S_MAX = 5.0
"""Of a call: what takes longer is a finding."""

_NEAR_MAX = 3


async def examine(
    broker: Broker, etcd: EtcdAccess, selection: Selection | None, *, check_delete: bool
) -> Facts:
    """Return what can be seen from here.

    Args:
        broker: Where brokers are.
        etcd: Where etcd is, if it can be reached.
        selection: Journals to try; None: no journal is tried, and all are looked at.
        check_delete: Have brokers try to delete from stores, too: a probe stays where they may not.
    """
    hasty = replace(broker, timeout_s=min(broker.timeout_s, _CALL_S_MAX))
    facts = Facts(
        address=broker.address,
        now=SYSTEM.now(),
        credentials=_credentials(broker),
        shadows=shadows(os.environ.get("PATH", "")) if selection is None else (),
    )
    async with hasty.connect() as client:
        everything, trouble = await _tried(client.list())
        if everything is None:
            return replace(facts, trouble=trouble, **await _seen_in_etcd(etcd))
        members = await members_of(client, etcd)
        inspected = await for_each(
            (f"{n}" for n, _ in enumerate(members.brokers)),
            lambda n: _broker(client, members, int(n)),
        )
        any_broker = await client.inspect_broker()
        journals, chosen = everything.journals, list(everything.journals)
        missing: list[str] = []
        if selection is not None:
            chosen, missing = await _chosen(client, selection, journals)
        by_name = {journal.spec.name: journal for journal in chosen}
        tried = await for_each(
            by_name,
            lambda name: (
                _journal(client, by_name[name]) if selection is not None else _listed(by_name[name])
            ),
        )
        stores = await _stores(client, chosen, check_delete=check_delete)
        absent = [_absent(name, journals) for name in missing]
        return replace(
            facts,
            etcd_error=members.etcd_error,
            max_replication=any_broker.max_replication,
            brokers=tuple(inspected.results.values()),
            journals=(*absent, *tried.results.values()),
            stores=stores,
        )


async def _tried(call: Awaitable[_T]) -> tuple[_T | None, Trouble | None]:
    """Make a call whose failure is a fact."""
    try:
        return await call, None
    except GazetteError as exc:
        failure = failure_of(exc)
        return None, Trouble(failure.status, failure.detail)


async def _seen_in_etcd(etcd: EtcdAccess) -> dict[str, Any]:
    """Return where etcd says that brokers are."""
    if not etcd.address:
        return {}
    try:
        async with etcd.connect() as connected:
            keyspace = await etcd.load(connected)
    except EtcdError as exc:
        return {"etcd_error": str(exc)}
    return {
        "known_endpoints": tuple(
            keyspace.members[member].broker.endpoint for member in sorted(keyspace.members)
        )
    }


def _credentials(broker: Broker) -> Credentials:
    if broker.auth_keys:
        return Credentials(kind="keys")
    if not broker.auth_token:
        return Credentials()
    claims = claims_of(broker.auth_token)
    return Credentials(
        kind="token", issued_at=_moment(claims.get("iat")), expires_at=_moment(claims.get("exp"))
    )


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token, which is not verified; none if they cannot be read."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _moment(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


# Brokers.


async def _broker(client: "Client", members: Members, index: int) -> BrokerFacts:
    from gazette_py.client.inspection import NOT_OURS

    member = members.brokers[index]
    told = await client.inspect_broker(member.endpoint)
    facts = BrokerFacts(id=member.id, endpoint=member.endpoint, is_exiting=member.is_exiting)
    if told.refusal:
        is_untold = told.refusal == NOT_OURS
        return replace(facts, is_untold=is_untold, refusal="" if is_untold else told.refusal)
    return replace(
        facts,
        clock_ahead_s=told.clock_ahead_s,
        clock_error_s=told.clock_error_s,
        spool_used_bytes=told.spool_used_bytes,
        spool_max_bytes=told.spool_max_bytes,
        disk_free_bytes=told.disk_free_bytes,
    )


# Journals.


async def _chosen(
    client: "Client", selection: Selection, everything: "Iterable[ListedJournal]"
) -> "tuple[list[ListedJournal], list[str]]":
    """Return the journals which are meant, and the names which nothing has."""
    if not selection.names:
        return list((await selection.list(client)).journals), []
    found: dict[str, ListedJournal] = {}
    missing = []
    for name in selection.names:
        of_name = [
            journal
            for journal in everything
            if journal.spec.name == name
            or (name.endswith("/") and journal.spec.name.startswith(name))
        ]
        found |= {journal.spec.name: journal for journal in of_name}
        if not of_name:
            missing.append(name)
    return list(found.values()), missing


def _absent(name: str, everything: "Iterable[ListedJournal]") -> JournalFacts:
    names = [journal.spec.name for journal in everything]
    return JournalFacts(name=name, near=tuple(get_close_matches(name, names, _NEAR_MAX)))


async def _listed(journal: "ListedJournal") -> JournalFacts:
    """Return what the listing alone tells."""
    return JournalFacts(name=journal.spec.name, spec=journal.spec, route=journal.route)


async def _journal(client: "Client", journal: "ListedJournal") -> JournalFacts:
    """Try a journal."""
    facts = await _listed(journal)
    spec = journal.spec
    try:
        inspected = await client.inspect(journal)
    except JournalNotFoundError:
        return replace(facts, spec=None)
    limit, reason = next(
        ((each.limit, each.limit_reason) for each in inspected if each.limit_reason), ("", "")
    )
    facts = replace(
        facts, limit=limit, limit_reason=reason, listing_errors=_listing_errors(inspected)
    )
    if spec.suspend.level is SuspendLevel.FULL:
        return facts
    facts = replace(facts, is_tried=True)
    # Of a journal which is not writable an append without content is taken all the same.
    _, append = await _tried(client.append(spec.name, suspend=AppendSuspend.KEEP, retry=False))
    if not spec.is_readable:
        return replace(facts, append=append)
    head, read = await _tried(client.write_head(spec.name))
    if head is not None:
        _, read = await _tried(_read_first(client, spec.name))
    return replace(facts, append=append, read=read, stored_end=head)


async def _read_first(client: "Client", name: str) -> None:
    """Read the first byte there is: it shows that the oldest fragment is there, and is whole."""
    async for listed in client.fragments(name):
        if listed.fragment.length:
            begin = listed.fragment.begin
            await client.read_all(name, begin, begin + 1)
            return


def _listing_errors(inspected: "Iterable[Inspected]") -> tuple[tuple[str, str], ...]:
    return tuple(
        (_name(each.broker), each.replica.listing_error)
        for each in inspected
        if each.replica is not None and each.replica.listing_error
    )


def _name(broker: ProcessID) -> str:
    return f"broker {broker}"


# Stores.


async def _stores(
    client: "Client", journals: "Iterable[ListedJournal]", *, check_delete: bool
) -> tuple[StoreFacts, ...]:
    users: dict[str, list[str]] = {}
    for journal in journals:
        for url in journal.spec.fragment.stores:
            users.setdefault(url, []).append(journal.spec.name)

    async def check(url: str) -> StoreFacts:
        facts = StoreFacts(url=url, journals=tuple(users[url]))
        _, trouble = await _tried(client.store_health(url))
        if trouble is not None or not check_delete:
            return replace(facts, error=_of_store(trouble))
        _, trouble = await _tried(client.store_health(url, check_delete_prefix=""))
        return replace(facts, delete_error=_of_store(trouble))

    outcomes = await for_each(users, check)
    return tuple(outcomes.results.values())


def _of_store(trouble: Trouble | None) -> str:
    """Return what a failed check says of the store, and not of the broker which was asked."""
    if trouble is None:
        return ""
    is_its_own = trouble.status in ("FRAGMENT_STORE_UNHEALTHY", "DEADLINE_EXCEEDED")
    return trouble.detail if is_its_own else ""
