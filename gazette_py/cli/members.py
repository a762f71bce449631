"""The brokers of a cluster, from the best source there is.

etcd has all of it, if it can be reached from here. Our brokers tell the same of their mirror of it.
Of others there are only the routes of journals: a broker which serves none is not seen, and no
limits are.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gazette_py.cli.errors import no_match, usage
from gazette_py.cli.etcd_options import EtcdAccess
from gazette_py.errors import EtcdError
from gazette_py.protocol.route import ProcessID

if TYPE_CHECKING:
    from gazette_py.client.client import Client
    from gazette_py.client.listing import ListedJournal
    from gazette_py.core.member_load import MemberLoad


class Source(StrEnum):
    """Who told of the brokers."""

    ETCD = "etcd"
    BROKER = "a broker"
    ROUTES = "the routes of journals"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMember:
    """A broker as far as it is known; None: that is not."""

    id: ProcessID
    endpoint: str
    limit: int | None
    assignments: int
    primaries: int
    is_exiting: bool | None

    @property
    def status(self) -> str:
        """Say in a word how it is."""
        return {None: "unknown", True: "exiting", False: "ok"}[self.is_exiting]

    def item(self) -> dict[str, Any]:
        """Return it as a plain mapping."""
        return {
            "name": str(self.id),
            "zone": self.id.zone,
            "suffix": self.id.suffix,
            "endpoint": self.endpoint,
            "limit": self.limit,
            "assignments": self.assignments,
            "primaries": self.primaries,
            "exiting": self.is_exiting,
            "status": self.status,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """All brokers which the source knows, by ascending ID."""

    source: Source
    brokers: tuple[ClusterMember, ...]
    etcd_error: str = ""  # Why etcd, which was given, did not tell.
    notes: tuple[str, ...] = ()  # What else is not known.


async def members_of(client: "Client", etcd: EtcdAccess) -> Members:
    """Return the brokers of the cluster.

    Raises:
        GazetteError: There is no etcd, and no broker either.
    """
    etcd_error = ""
    if etcd.address:
        try:
            if brokers := await _of_etcd(etcd):
                return Members(source=Source.ETCD, brokers=brokers)
            etcd_error = f"no brokers are below {etcd.prefix}: is that their --etcd.prefix?"
        except EtcdError as exc:
            etcd_error = str(exc)
    told = await client.inspect_broker()
    if not told.refusal:
        brokers = tuple(map(_known, told.members))
        return Members(source=Source.BROKER, brokers=brokers, etcd_error=etcd_error)
    listed = await client.list()
    note = (
        "only the routes of journals were seen: brokers which serve none are missing, and limits"
        " and who is exiting are not known. --etcd.address would tell"
    )
    return Members(
        source=Source.ROUTES,
        brokers=_of_routes(listed.journals),
        etcd_error=etcd_error,
        notes=(note,),
    )


async def _of_etcd(etcd: EtcdAccess) -> tuple[ClusterMember, ...]:
    from gazette_py.core.member_load import loads_of

    async with etcd.connect() as connected:
        return tuple(map(_known, loads_of(await etcd.load(connected))))


def _known(load: "MemberLoad") -> ClusterMember:
    return ClusterMember(
        id=load.broker.id,
        endpoint=load.broker.endpoint,
        limit=load.broker.journal_limit,
        assignments=load.assignments,
        primaries=load.primaries,
        is_exiting=load.broker.exiting,
    )


def _of_routes(journals: Iterable["ListedJournal"]) -> tuple[ClusterMember, ...]:
    endpoints: dict[ProcessID, str] = {}
    assignments: Counter[ProcessID] = Counter()
    primaries: Counter[ProcessID] = Counter()
    for journal in journals:
        route = journal.route
        endpoints |= dict(zip(route.members, route.endpoints, strict=False))
        assignments.update(route.members)
        if route.primary_id is not None:
            primaries[route.primary_id] += 1
    return tuple(
        ClusterMember(
            id=member,
            endpoint=endpoints.get(member, ""),
            limit=None,
            assignments=assignments[member],
            primaries=primaries[member],
            is_exiting=None,
        )
        for member in sorted(assignments)
    )


def find_member(name: str, known: Sequence[ProcessID]) -> ProcessID:
    """Return the broker of a name: `zone/suffix`, or the suffix alone if one has it.

    Raises:
        CommandError: There is none, or several.
    """
    found = [member for member in known if name in (str(member), member.suffix)]
    if not found:
        raise no_match(
            f"broker {name}",
            "it is no member of the cluster",
            f"There are {', '.join(map(str, known)) or 'none'}.",
        )
    if len(found) > 1:
        names = " and ".join(map(str, found))
        raise usage(f"broker {name}", f"there are {names}", "Give the zone, too.")
    return found[0]
