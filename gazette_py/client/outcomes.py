"""Translates what brokers and gRPC answer into errors. The one place of the client which does.

A status is an answer of the protocol; a gRPC code means that the call failed below it. Neither is
ever turned into the other.

Source: gazette/core broker/client/appender.go and reader.go (mapStatus).
"""

from gazette_py import errors
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import Status
from gazette_py.protocol.route import Header

_BY_STATUS: dict[int, type[errors.JournalError]] = {
    Status.JOURNAL_NOT_FOUND: errors.JournalNotFoundError,
    Status.NO_JOURNAL_PRIMARY_BROKER: errors.NoPrimaryError,
    Status.NOT_JOURNAL_PRIMARY_BROKER: errors.NotPrimaryError,
    Status.INSUFFICIENT_JOURNAL_BROKERS: errors.InsufficientBrokersError,
    Status.NOT_JOURNAL_BROKER: errors.NotReplicaError,
    Status.ETCD_TRANSACTION_FAILED: errors.EtcdTransactionFailedError,
    Status.NOT_ALLOWED: errors.NotAllowedError,
    Status.WRONG_APPEND_OFFSET: errors.WrongAppendOffsetError,
    Status.INDEX_HAS_GREATER_OFFSET: errors.IndexHasGreaterOffsetError,
    Status.SUSPENDED: errors.SuspendedError,
    Status.FRAGMENT_STORE_UNHEALTHY: errors.StoreUnhealthyError,
}


def raise_for_status(
    status: int, journal: str, *, header: pb.Header | None = None, detail: str = ""
) -> None:
    """Raise the error of a status; return if it is OK."""
    if status == Status.OK:
        return
    kind = _BY_STATUS.get(status, errors.JournalError)
    raise kind(journal, status_name(status), detail, _header(header))


def raise_for_append(response: pb.AppendResponse, journal: str) -> None:
    """Raise the error of an append's response; return if it is OK."""
    if response.status == pb.REGISTER_MISMATCH:
        registers = convert.labels_from_pb(response.registers)
        raise errors.RegisterMismatchError(journal, registers, _header(response.header))
    raise_for_status(
        response.status, journal, header=response.header, detail=response.store_health_error
    )


def raise_for_read(response: pb.ReadResponse, journal: str) -> None:
    """Raise the error of a read's metadata; return if it is OK."""
    header = response.header if response.HasField("header") else None
    if response.status == pb.OFFSET_NOT_YET_AVAILABLE:
        raise errors.OffsetNotYetAvailableError(
            journal, response.offset, response.write_head, _header(header)
        )
    raise_for_status(response.status, journal, header=header)


def status_name(status: int) -> str:
    """Return the name of a status, or a text with its number if a newer broker sent it."""
    try:
        return Status(status).name
    except ValueError:
        return f"unknown status {status}"


def _header(message: pb.Header | None) -> Header | None:
    return None if message is None else convert.header_from_pb(message)
