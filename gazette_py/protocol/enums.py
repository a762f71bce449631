"""Enumerations of the protocol, with the wire's names and numbers."""

from enum import IntEnum


class Status(IntEnum):
    """Outcome of a call which reached a broker and was understood."""

    OK = 0
    JOURNAL_NOT_FOUND = 1
    NO_JOURNAL_PRIMARY_BROKER = 2
    NOT_JOURNAL_PRIMARY_BROKER = 3
    INSUFFICIENT_JOURNAL_BROKERS = 4
    NOT_JOURNAL_BROKER = 5
    OFFSET_NOT_YET_AVAILABLE = 6
    WRONG_ROUTE = 7
    PROPOSAL_MISMATCH = 8
    ETCD_TRANSACTION_FAILED = 9
    NOT_ALLOWED = 10
    WRONG_APPEND_OFFSET = 11
    INDEX_HAS_GREATER_OFFSET = 12
    REGISTER_MISMATCH = 13
    SUSPENDED = 14
    FRAGMENT_STORE_UNHEALTHY = 15


class CompressionCodec(IntEnum):
    """How the content of a fragment file is compressed."""

    INVALID = 0
    NONE = 1
    GZIP = 2
    ZSTANDARD = 3
    SNAPPY = 4
    GZIP_OFFLOAD_DECOMPRESSION = 5


class JournalFlag(IntEnum):
    """Access modes of a journal. They do not combine."""

    NOT_SPECIFIED = 0
    O_RDONLY = 1
    O_WRONLY = 2
    O_RDWR = 4


class SuspendLevel(IntEnum):
    """How far a journal is suspended: NONE all replicas, PARTIAL one, FULL none."""

    NONE = 0
    PARTIAL = 1
    FULL = 2


class AppendSuspend(IntEnum):
    """What an append does about suspension."""

    RESUME = 0
    NO_RESUME = 1
    IF_FLUSHED = 2
    NOW = 3
    KEEP = 4
