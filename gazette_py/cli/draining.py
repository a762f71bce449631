"""Draining a broker from outside: its key in etcd is marked, and the allocator does the rest.

The mark is the one which a broker sets itself when it gets SIGTERM, under the same guard: the key
must be as it was read. The key keeps its lease, and so the broker its place, until it ends or
restarts; whoever joins anew has no mark.

What a broker makes of a mark which it did not set differs. Ours stay, without journals, until they
are ended. One of Gazette ends by itself once it has none; and it must not get SIGTERM before, since
it then finds its key changed, and ends at once with what it still holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gazette_py.cli.errors import CommandError, ExitCode, Failure
from gazette_py.cli.etcd_options import EtcdAccess
from gazette_py.clock import SYSTEM
from gazette_py.protocol.route import ProcessID

if TYPE_CHECKING:
    from gazette_py.core.keyspace import KeySpace, Member
    from gazette_py.etcd.client import EtcdClient

REPLICATION_MAX = 5
"""What a journal may ask for at most; brokers may be told to bound it further."""

_POLL_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """One broker to be drained, in the cluster of an etcd.

    Args:
        etcd: Which cluster.
        connected: To it.
        member: Which broker.
        max_replication: What the cluster's brokers bound replication by.
    """

    etcd: EtcdAccess
    connected: "EtcdClient"
    member: ProcessID
    max_replication: int

    async def load(self) -> "KeySpace":
        """Return the cluster as it is now."""
        return await self.etcd.load(self.connected)

    def obstacle(self, keyspace: "KeySpace") -> str:
        """Return why others cannot take all that it has, once it is marked; "" if they can."""
        from gazette_py.core.allocator.drain import why_not_drained

        return why_not_drained(keyspace, self.member, self.max_replication)

    def assigned(self, keyspace: "KeySpace") -> int:
        """Return how many journals it still has."""
        return len(keyspace.assignments_by_member(self.member))

    async def mark(self, member: "Member") -> None:
        """Set the mark.

        Raises:
            CommandError: The key has changed since it was read.
        """
        from gazette_py.cluster.session import mark_exiting

        if not await mark_exiting(self.connected, member):
            raise CommandError(
                Failure(
                    code=ExitCode.CONFLICT,
                    status="ETCD_TRANSACTION_FAILED",
                    what=f"broker {self.member}",
                    detail="its key in etcd has changed meanwhile, and was left as it is",
                    hints=("Look at `journalctl brokers list`, and try again.",),
                )
            )

    async def wait(self, lease: int, timeout_s: float, tell: Callable[[int], None]) -> str:
        """Wait until it has no journals.

        Args:
            lease: Of the member which was marked.
            timeout_s: How long.
            tell: Called with the number of journals it has, each time that has changed.

        Returns:
            "drained", or "left" if it is no member any more.

        Raises:
            CommandError: It still has some, or it joined anew and so has no mark.
        """
        deadline = SYSTEM.monotonic() + timeout_s
        told = -1
        while True:
            keyspace = await self.load()
            member = keyspace.members.get(self.member)
            if member is None:
                return "left"
            if member.lease != lease or not member.broker.exiting:
                raise self._failure(
                    ExitCode.CONFLICT, "NOT_EXITING", "it has joined anew, and takes journals again"
                )
            if (left := self.assigned(keyspace)) != told:
                tell(told := left)
            if not left:
                return "drained"
            if SYSTEM.monotonic() >= deadline:
                why = self.obstacle(keyspace) or f"{left} assignments have not been moved yet"
                raise self._failure(
                    ExitCode.UNAVAILABLE, "DRAINING", f"not drained after {timeout_s:g}s: {why}"
                )
            await SYSTEM.sleep(min(_POLL_S, max(0.0, deadline - SYSTEM.monotonic())))

    def _failure(self, code: ExitCode, status: str, detail: str) -> CommandError:
        what = f"broker {self.member}"
        hint = "It stays marked until it ends or restarts; `journalctl brokers list` shows it."
        hints = (hint,) if code is ExitCode.UNAVAILABLE else ()
        return CommandError(
            Failure(code=code, status=status, what=what, detail=detail, hints=hints)
        )
