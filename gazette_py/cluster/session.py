"""Our membership: a lease, and the member key which lives as long as it.

Invariants:
    SE1  The member key is created only where none exists: an earlier process of our ID is waited
         for, but not for ever, since it may be another broker which was given the same ID.
    SE2  Rewriting the key keeps its lease and its create revision, and with it our leadership.

Source: gazette/core allocator/announce.go.
"""

from dataclasses import replace
from types import TracebackType
from typing import Self

from gazette_py.clock import Clock
from gazette_py.core.keyspace import Member
from gazette_py.errors import EtcdError
from gazette_py.etcd.base import Compare, Etcd, LeaseKeeper, Put, Target
from gazette_py.protocol import convert
from gazette_py.protocol.keys import member_key
from gazette_py.protocol.route import BrokerSpec
from gazette_py.telemetry.log import get_logger

log = get_logger(__name__)

ANNOUNCE_RETRY_S_MAX = 10.0

ANNOUNCE_TERMS = 3
"""Terms of our lease for which a process of our ID is waited for, and `ANNOUNCE_S_MIN` at least."""

ANNOUNCE_S_MIN = 30.0


class Session:
    """Announces on entry. On exit the lease is revoked, and every key under it is gone."""

    def __init__(
        self, etcd: Etcd, root: str, broker: BrokerSpec, *, ttl_s: int, clock: Clock
    ) -> None:
        self.broker = broker
        self.revision = 0  # At which the member key was created.
        self._etcd = etcd
        self._key = member_key(root, broker.id).encode()
        self.ttl_s = ttl_s
        self._clock = clock
        self._lease = 0
        self._keeper: LeaseKeeper | None = None

    def valid_until(self) -> float:
        """Return the monotonic time until which our lease is surely alive; 0 once it is revoked."""
        return self._keeper.valid_until() if self._keeper is not None else 0.0

    async def __aenter__(self) -> Self:
        """Grant a lease and create the member key, once no other process holds it.

        Raises:
            EtcdError: Another process holds it, and does not go; or etcd fails.
        """
        await self._join()
        return self

    async def _join(self) -> None:
        self._lease = await self._etcd.grant_lease(self.ttl_s)
        self._keeper = self._etcd.keep_alive(self._lease, self.ttl_s)
        try:
            await self._announce()
        except BaseException:
            await self.revoke()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Revoke the lease, if that was not done."""
        await self.revoke()

    async def rejoin(self) -> None:
        """Join again, after the lease was lost: with a new one, as a new member of the same ID.

        The caller must have seen the old keys go: what the old lease stood for must have ended.

        Raises:
            EtcdError: As on entry.
        """
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            await keeper.stop()
        await self._join()

    async def _announce(self) -> None:
        began = self._clock.monotonic()
        value = convert.broker_to_pb(self.broker).SerializeToString()
        while True:
            created = await self._etcd.txn(
                [Compare(self._key, Target.VERSION, 0)], [Put(self._key, value, lease=self._lease)]
            )
            if created.succeeded:
                self.revision = created.header.revision
                return
            log.warning("member_key_exists", member=str(self.broker.id))
            if self._clock.monotonic() - began >= max(ANNOUNCE_S_MIN, ANNOUNCE_TERMS * self.ttl_s):
                raise EtcdError(
                    f"a broker {self.broker.id} is in the cluster, and stays: give this one another"
                    " --broker.id, or end that one"
                )
            await self._clock.sleep(min(ANNOUNCE_RETRY_S_MAX, self.ttl_s / 2))

    async def set_exiting(self, member: Member) -> bool:
        """Ask to be drained. Return False if the key has changed since `member` was read."""
        assert member.key == self._key, "ours"
        return await mark_exiting(self._etcd, member)

    async def wait_lost(self) -> None:
        """Return once the lease has been lost."""
        assert self._keeper is not None
        await self._keeper.wait_lost()

    async def revoke(self) -> None:
        """Leave the cluster now."""
        if self._keeper is None:
            return
        keeper, self._keeper = self._keeper, None
        await keeper.stop()
        await self._etcd.revoke_lease(self._lease)


async def mark_exiting(etcd: Etcd, member: Member) -> bool:
    """Have a member be drained: the allocator moves its journals to others, as far as they can.

    Its key keeps its lease. Return False if the key has changed since `member` was read.
    """
    value = convert.broker_to_pb(replace(member.broker, exiting=True)).SerializeToString()
    result = await etcd.txn(
        [Compare(member.key, Target.MOD, member.mod_revision)],
        [Put(member.key, value, ignore_lease=True)],
    )
    return result.succeeded
