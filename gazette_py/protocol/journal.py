"""Journal specifications and journal names. The rules of specs are in `journal_rules`."""

from dataclasses import dataclass, field

from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import CompressionCodec, JournalFlag, SuspendLevel
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.text import validate_path_component


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentSpec:
    """How the fragments of a journal are cut, compressed and stored."""

    length: int = 0  # Target bytes before compression, [2**10, 2**34].
    compression_codec: CompressionCodec = CompressionCodec.INVALID
    stores: tuple[str, ...] = ()  # URLs: the first is written, all are read.
    refresh_interval_ns: int = 0
    retention_ns: int = 0
    flush_interval_ns: int = 0  # 0: off.
    path_postfix_template: str = ""


@dataclass(frozen=True, slots=True)
class Suspend:
    """Suspension of a journal, maintained by brokers."""

    level: SuspendLevel = SuspendLevel.NONE
    offset: int = 0  # Lowest offset at which appends may go on. It outlives a resumption.


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSpec:
    """What a journal is, and how it should be served."""

    name: str = ""
    replication: int = 0  # [1, 5]
    labels: LabelSet = LabelSet()
    fragment: FragmentSpec = field(default_factory=FragmentSpec)
    flags: int = JournalFlag.NOT_SPECIFIED
    max_append_rate: int = 0  # Bytes per second; 0: no limit.
    suspend: Suspend = Suspend()

    @property
    def is_readable(self) -> bool:
        """Tell whether the flags allow reads."""
        return self.flags in (JournalFlag.NOT_SPECIFIED, JournalFlag.O_RDONLY, JournalFlag.O_RDWR)

    @property
    def is_writable(self) -> bool:
        """Tell whether the flags allow appends with content."""
        return self.flags in (JournalFlag.NOT_SPECIFIED, JournalFlag.O_WRONLY, JournalFlag.O_RDWR)

    def desired_replication(self, max_replication: int) -> int:
        """Return how many brokers shall serve the journal, [0, max_replication]."""
        by_level = {
            SuspendLevel.NONE: self.replication,
            SuspendLevel.PARTIAL: 1,
            SuspendLevel.FULL: 0,
        }
        return min(by_level[self.suspend.level], max_replication)

    def selectable_labels(self) -> LabelSet:
        """Return the labels with the pseudo-label `name`, which wins over a stored one."""
        return self.labels.with_value("name", self.name)


def strip_meta(journal: str) -> str:
    """Return the journal name without its `;meta` segment."""
    return journal.partition(";")[0]


def validate_journal(name: str, path: str) -> None:
    """Refuse what is no journal name. A `;meta` segment is allowed.

    Raises:
        ValidationError: With `path`.
    """
    base, separator, meta = name.partition(";")
    validate_path_component(base, path, 4, 512)
    if separator:
        validate_path_component(meta, f"{path}.metadata path segment", 1, 512)


def validate_journal_without_meta(name: str, path: str) -> None:
    """Refuse what is no journal name, or has a `;meta` segment.

    Raises:
        ValidationError: With `path`.
    """
    validate_journal(name, path)
    if ";" in name:
        raise ValidationError(
            path, f"cannot have a metadata path segment ({name}; expected no segment)"
        )
