"""Appends which happen once, whatever becomes of brokers meanwhile.

Each append says at which offset it must land, so a second try of one which did land is refused, and
the journal is read to learn whether the bytes there are ours.
"""

from gazette_py import errors
from gazette_py.client import AppendResult, Client
from gazette_py.clock import Clock

_ATTEMPT_TIMEOUT_S = 10.0
_RETRY_S = 0.05


class ExactWriter:
    """The only writer of a journal.

    Args:
        client: Of the cluster.
        journal: Its name.
        offset: Its write head.
        clock: Times retries and pauses.
        give_up_s: How long one append may take in all.
    """

    def __init__(
        self, client: Client, journal: str, offset: int, clock: Clock, give_up_s: float = 60.0
    ) -> None:
        self.journal = journal
        self.offset = offset  # End of what was acknowledged.
        self.retries = 0
        self.found_landed = 0  # Appends whose answer was lost, but which had happened.
        self.longest_s = 0.0  # Of one append, with its retries.
        self._client = client
        self._clock = clock
        self._give_up_s = give_up_s

    async def append(self, content: bytes) -> None:
        """Append content exactly once.

        Raises:
            GazetteError: It could not be done in time, or somebody else writes this journal.
        """
        started = self._clock.monotonic()
        is_unknown = False  # Whether an earlier attempt did it.
        failure: errors.GazetteError
        while True:
            try:
                if is_unknown and await self._has_landed(content):
                    self.found_landed += 1
                    break
                is_unknown = False
                await self._attempt(content)
                break
            except errors.WrongAppendOffsetError as exc:
                is_unknown, failure = True, exc
            except errors.AppendOutcomeUnknownError as exc:
                # Offset 0 cannot be asked for on the wire, where it means "any": look before the
                # next. Any other is refused, if it was done.
                is_unknown, failure = self.offset == 0, exc
            except errors.OffsetJumpError as exc:
                failure = exc  # The broker which we looked at has not listed the store lately.
            except errors.GazetteError as exc:
                if not exc.retryable:
                    raise
                failure = exc
            if self._clock.monotonic() - started > self._give_up_s:
                raise failure
            self.retries += 1
            await self._clock.sleep(_RETRY_S)
        self.offset += len(content)
        self.longest_s = max(self.longest_s, self._clock.monotonic() - started)

    async def _attempt(self, content: bytes) -> AppendResult:
        # Without the client's own attempts, whose waits grow: a take-over is soon done.
        return await self._client.append(
            self.journal,
            content,
            offset=self.offset if content else 0,
            retry=False,
            timeout_s=_ATTEMPT_TIMEOUT_S,
        )

    async def _has_landed(self, content: bytes) -> bool:
        """Tell whether our content is at `offset`, behind a barrier: nothing of ours is under way.

        Raises:
            ReadError: Something else is there.
        """
        head = (await self._attempt(b"")).commit.end
        if head == self.offset:
            return False
        end = self.offset + len(content)
        if head >= end:
            found = await self._client.read_all(self.journal, self.offset, end, block=True)
            if found == content:
                return True
        raise errors.ReadError(self.journal, self.offset, "another writer appended here")
