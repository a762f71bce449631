"""Errors, by what the caller should do about them.

    GazetteError
      ValidationError            path, reason                 fix the request
      JournalError               journal, status, header
        JournalNotFoundError NotAllowedError SuspendedError WrongAppendOffsetError
                                                              change the request
        NoPrimaryError NotPrimaryError NotReplicaError InsufficientBrokersError
                                                              retry
        StoreUnhealthyError      reason                       retry, slowly; say so
        OffsetNotYetAvailableError write_head                 wait, or come back
        RegisterMismatchError    registers                    fenced: stop
        IndexHasGreaterOffsetError                            an operator acts
      ReadError                  journal, offset
        OffsetJumpError          to                           go on from there, or not
        CorruptFragmentError     fragment, expected, actual   an operator acts
        ConflictingFragmentsError fragments                   an operator acts
        RecordError                                           read it otherwise, or skip it
      AppendAbandonedError       journal, after             append anew, if it still holds
      StoreError                 store, operation, key
        StoreMissingError StoreDeniedError StoreUnavailableError ClaimError
        ForeignObjectError                                    move it away, or read past it
      RpcError                   peer, code, detail
        RpcUnavailableError RpcUnauthenticatedError RpcDeadlineError
                                                              retry, or mend the credentials
          RpcTlsError                                         mend certificates, or the endpoint
        AppendTooSlowError                                    retry, or append less at once
        AppendOutcomeUnknownError                             look, or accept a duplicate
      EtcdError
        EtcdCompactedError EtcdLeaseLostError EtcdUnavailableError
      ConfigError                option, reason               fix the configuration

Fields come first and the message is derived from them. `retryable` tells whether the same call may
succeed later without anybody acting.
"""

from typing import Any, ClassVar


class GazetteError(Exception):
    """Base of all errors which this package raises on purpose."""

    retryable: ClassVar[bool] = False


class ValidationError(GazetteError):
    """A value breaks a rule. `path` names the faulty field in the reference's spelling."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason

    def within(self, context: str) -> "ValidationError":
        """Return the error as seen from the message which holds the field."""
        joined = f"{context}.{self.path}" if self.path else context
        return ValidationError(joined, self.reason)


class JournalError(GazetteError):
    """A broker answered with a Status other than OK."""

    def __init__(self, journal: str, status: str, detail: str = "", header: Any = None) -> None:
        text = f"journal {journal}: {status}" if journal else status
        super().__init__(f"{text}: {detail}" if detail else text)
        self.journal = journal
        self.status = status  # Name of the Status.
        self.detail = detail
        self.header = header  # protocol.route.Header of the response, if it had one.


class JournalNotFoundError(JournalError):
    """No such journal, or the token does not select it."""


class NotAllowedError(JournalError):
    """The journal's flags or the append's suspend mode refuse the operation."""


class SuspendedError(JournalError):
    """The journal is suspended."""


class WrongAppendOffsetError(JournalError):
    """The explicit offset of the append is not the journal's next one."""


class EtcdTransactionFailedError(JournalError):
    """An expected revision of an Apply did not hold."""


class NoPrimaryError(JournalError):
    """The journal has no primary at the moment."""

    retryable = True


class NotPrimaryError(JournalError):
    """The broker is not the journal's primary."""

    retryable = True


class NotReplicaError(JournalError):
    """The broker does not serve the journal."""

    retryable = True


class InsufficientBrokersError(JournalError):
    """Too few brokers serve the journal at the moment."""

    retryable = True


class StoreUnhealthyError(JournalError):
    """The journal's first store fails its health checks; `detail` has the reason."""

    retryable = True


class OffsetNotYetAvailableError(JournalError):
    """The read met the end of available content."""

    retryable = True

    def __init__(self, journal: str, offset: int, write_head: int, header: Any = None) -> None:
        super().__init__(
            journal, "OFFSET_NOT_YET_AVAILABLE", f"offset {offset}, write head {write_head}", header
        )
        self.offset = offset
        self.write_head = write_head


class RegisterMismatchError(JournalError):
    """The journal's registers do not match: this writer is fenced."""

    def __init__(self, journal: str, registers: Any, header: Any = None) -> None:
        super().__init__(journal, "REGISTER_MISMATCH", f"registers are {registers}", header)
        self.registers = registers  # protocol.labels.LabelSet


class IndexHasGreaterOffsetError(JournalError):
    """Fragments exist beyond the replicas' end. An operator must reset the head."""


class ReadError(GazetteError):
    """A read cannot go on at `offset` as it was asked to."""

    def __init__(self, journal: str, offset: int, detail: str) -> None:
        super().__init__(f"journal {journal} at offset {offset}: {detail}")
        self.journal = journal
        self.offset = offset


class OffsetJumpError(ReadError):
    """No content remains at `offset`; the next is at `to`. The reader stays valid."""

    def __init__(self, journal: str, offset: int, to: int) -> None:
        super().__init__(journal, offset, f"content goes on at offset {to}")
        self.to = to


class CorruptFragmentError(ReadError):
    """A stored fragment does not hold what its name says."""

    def __init__(self, journal: str, fragment: str, expected: str, actual: str) -> None:
        super().__init__(
            journal, 0, f"fragment {fragment} is corrupt: expected {expected}, found {actual}"
        )
        self.fragment = fragment
        self.expected = expected
        self.actual = actual


class AppendAbandonedError(GazetteError):
    """An append was not sent, since one failed which it was to come after."""

    def __init__(self, journal: str, after: str) -> None:
        super().__init__(
            f"append to journal {journal} was not sent: an append to {after}, which it was to come"
            " after, failed"
        )
        self.journal = journal
        self.after = after


class ConflictingFragmentsError(ReadError):
    """Stored fragments hold different content at the same offsets. One of them is to be removed."""

    def __init__(self, journal: str, begin: int, end: int, fragments: tuple[str, ...]) -> None:
        names = " and ".join(fragments)
        super().__init__(
            journal, begin, f"fragments {names} differ in what they hold up to offset {end}"
        )
        self.end = end
        self.fragments = fragments  # Their content paths.


class RecordError(ReadError):
    """Bytes at an offset are no record of the kind which was asked for."""


class StoreError(GazetteError):
    """An operation on a fragment store failed."""

    def __init__(self, store: str, operation: str, key: str, detail: str) -> None:
        super().__init__(f"fragment store {store}: {operation} {key}: {detail}")
        self.store = store
        self.operation = operation
        self.key = key
        self.detail = detail


class ClaimError(StoreError):
    """A payload which was checked into a store is not there, or not as it was. An operator acts."""

    def __init__(self, store: str, key: str, detail: str) -> None:
        super().__init__(store, "check out", key, detail)


class StoreMissingError(StoreError):
    """The object does not exist."""


class StoreDeniedError(StoreError):
    """The store refuses us: credentials, permissions, or no such bucket or directory."""


class StoreUnavailableError(StoreError):
    """The store did not answer, or answered that it cannot now."""

    retryable = True


class ForeignObjectError(StoreError):
    """An object in a journal's directory is no fragment: perhaps one whose name was damaged."""


class RpcError(GazetteError):
    """A call to a peer failed below the protocol's own statuses."""

    def __init__(self, peer: str, code: str, detail: str) -> None:
        super().__init__(f"{peer}: {code}: {detail}")
        self.peer = peer
        self.code = code  # Name of the gRPC code.
        self.detail = detail


class RpcUnavailableError(RpcError):
    """The peer could not be reached, or went away."""

    retryable = True


class RpcTlsError(RpcUnavailableError):
    """The peer could not be reached by TLS, and `detail` says what to do about it.

    Its certificate is of another authority or host, or has expired, or it does not speak TLS. The
    same call fails again until somebody has acted.
    """

    retryable = False


class RpcUnauthenticatedError(RpcError):
    """The peer does not accept the credentials."""


class RpcDeadlineError(RpcError):
    """The peer did not answer in time."""

    retryable = True


class AppendTooSlowError(RpcError):
    """An append's content came slower than brokers bear, and none of it is in the journal.

    They demand `--broker.min-append-rate` of it, 64 KiB/s unless they are told otherwise, since
    other appends to the journal wait meanwhile. A process or machine which was held up passes.
    """

    retryable = True


class AppendOutcomeUnknownError(RpcError):
    """An append asked to commit and got no answer: its content may be in the journal, or not.

    Not retryable in the sense of `retryable`: the same append again may write the content twice.
    """


class EtcdError(GazetteError):
    """etcd refused or failed a call."""


class EtcdUnavailableError(EtcdError):
    """etcd did not answer."""

    retryable = True


class EtcdCompactedError(EtcdError):
    """The revision asked for is compacted: load anew."""


class EtcdLeaseLostError(EtcdError):
    """Our lease is gone, and with it our place in the cluster."""


class ConfigError(GazetteError):
    """A configured value cannot be used."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option}: {reason}")
        self.option = option
        self.reason = reason
