"""How a broker is a member of its cluster: it joins, stays, hands its journals over, and leaves.

Decides when our lease is lost for good, when we join anew, and when nobody is left to take what we
hold. Touches our member key, through the session, and the mirror; replicas are the service's.

Invariants:
    BM1  We join anew only once the mirror has seen the old keys go, and so every replica which the
         old lease stood for has been told to end.
    BM2  Handing over is judged only by what follows our own mark in etcd: who joined before it is
         seen by then.

Source: gazette/core broker/service.go, allocator/announce.go.
"""

import asyncio
from collections.abc import Callable

from gazette_py.clock import Clock
from gazette_py.cluster.mirror import Mirror
from gazette_py.cluster.session import Session
from gazette_py.core.allocator.drain import why_needed
from gazette_py.core.allocator.state import observe
from gazette_py.core.keyspace import Delta
from gazette_py.errors import EtcdError, EtcdLeaseLostError, EtcdUnavailableError
from gazette_py.protocol.route import ProcessID
from gazette_py.telemetry.log import get_logger
from gazette_py.telemetry.metrics import Metrics

log = get_logger(__name__)

LEAVE_TIMEOUT_S = 3.0
"""How long etcd has to revoke our lease."""

TELL_WAITING_S = 5.0
"""Between lines of the log which say why we have not left yet."""

AUDIT_S = 600.0
"""Between comparisons of the mirror with etcd, within a fifth more or less."""

REJOIN_RETRY_S = 0.5
"""After etcd could not be reached to join anew."""


class Membership:
    """One broker in its cluster.

    Args:
        session: Our lease and member key.
        mirror: The key space, which `join` loads.
        clock: Times everything.
        metrics: Counts leases lost and audits.
        max_replication: Of the cluster: bounds what journals ask for.
        count_local: How many replicas we have.
        on_member_lost: Called when another member, or an earlier lease of it, is gone.
    """

    def __init__(
        self,
        session: Session,
        mirror: Mirror,
        *,
        clock: Clock,
        metrics: Metrics,
        max_replication: int,
        count_local: Callable[[], int],
        on_member_lost: Callable[[], None],
    ) -> None:
        self.is_leaving = False  # Set once we were asked to leave: a lost lease is then the end.
        self._session = session
        self._mirror = mirror
        self._clock = clock
        self._metrics = metrics
        self._max_replication = max_replication
        self._count_local = count_local
        self._on_member_lost = on_member_lost
        self._members: set[tuple[ProcessID, int]] = set()  # By ID and lease.
        mirror.add_observer(self._on_keyspace)

    def _on_keyspace(self, delta: Delta) -> None:
        if not delta.members:
            return
        before = self._members
        self._members = {(i, m.lease) for i, m in self._mirror.keyspace.members.items()}
        if before - self._members:
            self._on_member_lost()

    async def join(self) -> None:
        """Announce us, and load the key space.

        Raises:
            EtcdError: Another process of our ID stays, or etcd fails.
        """
        await self._session.__aenter__()
        await self._mirror.load(self._session.revision)

    def has_lease(self) -> bool:
        """Return whether our lease is surely alive."""
        return self._clock.monotonic() < self._session.valid_until()

    async def stay(self) -> None:
        """Join anew each time our lease was lost, unless we are about to leave.

        Raises:
            EtcdError: We cannot join, and trying again would not help.
        """
        while True:
            await self._session.wait_lost()
            reason = (
                f"the etcd lease of {self._session.broker.id} was lost: etcd was not reached for"
                f" {self._session.ttl_s} s (--etcd.lease)"
            )
            if self.is_leaving:
                raise EtcdLeaseLostError(reason)
            log.error("lease_lost", err=reason)
            self._metrics.lease_lost()
            await self._rejoin()
            log.warning("lease_granted_anew", broker=str(self._session.broker.id))

    async def _rejoin(self) -> None:
        while True:
            try:
                await self._mirror.catch_up()
                await self._session.rejoin()
                return
            except EtcdUnavailableError as exc:
                log.warning("join_failed", err=str(exc))
            await self._clock.sleep(REJOIN_RETRY_S)

    async def audit(self) -> None:
        """Compare the mirror with etcd now and then, for ever."""
        while True:
            await self._clock.sleep(AUDIT_S * self._clock.uniform(0.8, 1.2))
            try:
                self._metrics.audited(await self._mirror.audit())
            except EtcdError as exc:
                log.warning("audit_failed", err=str(exc))

    async def hand_over(self) -> None:
        """Ask to be drained, and wait until we are, or until nobody is left to take over."""
        telling = asyncio.create_task(self._tell_waiting(), name="tell")
        try:
            await self._until_drained()
        finally:
            telling.cancel()

    async def _until_drained(self) -> None:
        keyspace, own_id = self._mirror.keyspace, self._session.broker.id
        is_asked = False
        while True:
            revision = keyspace.header.revision
            own = keyspace.members.get(own_id)
            if own is None or own.broker.exiting:
                others = [m for i, m in keyspace.members.items() if i != own_id]
                if all(member.broker.exiting for member in others):
                    return
                if not self._count_local():
                    return
            elif not is_asked:
                is_asked = await self._session.set_exiting(own)
            await self._mirror.wait_change(revision)

    async def _tell_waiting(self) -> None:
        while True:
            await self._clock.sleep(TELL_WAITING_S)
            log.warning("broker_still_needed", why=self.why_needed())

    def why_needed(self) -> str:
        """Return why we have not left, though we were asked to, and what would help."""
        state = observe(self._mirror.keyspace, self._max_replication)
        return why_needed(state, self._session.broker.id, self._count_local())

    async def leave(self) -> None:
        """Revoke our lease, and with it every key which says that we hold something."""
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await self._session.revoke()
        except (EtcdError, TimeoutError) as exc:
            # Our keys go when the lease expires. What we hold is persisted all the same.
            log.warning("lease_not_revoked", err=str(exc) or "etcd did not answer")
