"""Rules of journal specifications. The first which is broken is reported, in the reference's order.

What others have written into etcd is accepted as the reference accepts it, and a path postfix
template beyond our subset must not stop a journal from being served. A spec which is *new* must
also have a template which we can evaluate, and a name which stays within its store.

Source: gazette/core broker/protocol/journal_spec_extensions.go.
"""

from typing import Final

from gazette_py.errors import ValidationError
from gazette_py.protocol.enums import CompressionCodec, JournalFlag, SuspendLevel
from gazette_py.protocol.journal import FragmentSpec, JournalSpec, validate_journal_without_meta
from gazette_py.protocol.labels import validate_constraints, validate_label_set
from gazette_py.protocol.path_template import validate_template
from gazette_py.protocol.store_url import StoreURL
from gazette_py.protocol.text import escapes_root, field_path

_NS: Final = 1_000_000_000

REPLICATION_MAX: Final = 5
FRAGMENT_LENGTH_MIN: Final = 1 << 10
FRAGMENT_LENGTH_MAX: Final = 1 << 34
REFRESH_INTERVAL_S_MIN: Final = 1
REFRESH_INTERVAL_S_MAX: Final = 24 * 3600
FLUSH_INTERVAL_S_MIN: Final = 60


def validate_journal_spec(spec: JournalSpec, path: str = "", *, is_new: bool = False) -> None:
    """Refuse a spec which breaks a rule.

    Args:
        spec: To check.
        path: Where it was found, for the error.
        is_new: It is about to be written: be strict.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    validate_journal_without_meta(spec.name, field_path(path, "Name"))
    if is_new and escapes_root(spec.name):
        raise ValidationError(
            field_path(path, "Name"),
            f"cannot begin with '..', which leads out of a store ({spec.name})",
        )
    if not 1 <= spec.replication <= REPLICATION_MAX:
        raise ValidationError(
            path,
            f"invalid Replication ({spec.replication}; expected 1 <= Replication <="
            f" {REPLICATION_MAX})",
        )
    validate_label_set(spec.labels, field_path(path, "Labels"))
    for reserved in ("name", "prefix"):
        if spec.labels.values_of(reserved):
            raise ValidationError(path, f'Labels cannot include label "{reserved}"')
    validate_constraints(spec.labels, field_path(path, "Labels"))
    _validate_fragment_spec(spec.fragment, field_path(path, "Fragment"))
    if is_new:
        validate_template(
            spec.fragment.path_postfix_template,
            field_path(path, "Fragment.PathPostfixTemplate"),
            spec,
        )
    if spec.flags not in set(JournalFlag):
        raise ValidationError(
            field_path(path, "Flags"), f"invalid Flags combination ({spec.flags})"
        )
    if spec.max_append_rate < 0:
        raise ValidationError(
            path, f"invalid MaxAppendRate ({spec.max_append_rate}; expected >= 0)"
        )
    if spec.suspend.level not in set(SuspendLevel):
        raise ValidationError(
            field_path(path, "Suspend.Level"), f"invalid Level variant ({spec.suspend.level})"
        )
    if spec.suspend.offset < 0:
        raise ValidationError(
            field_path(path, "Suspend.Offset"),
            f"invalid Offset ({spec.suspend.offset}; expected >= 0)",
        )


def _validate_fragment_spec(fragment: FragmentSpec, path: str) -> None:
    if not FRAGMENT_LENGTH_MIN <= fragment.length <= FRAGMENT_LENGTH_MAX:
        raise ValidationError(
            path,
            f"invalid Length ({fragment.length}; expected {FRAGMENT_LENGTH_MIN} <= length <="
            f" {FRAGMENT_LENGTH_MAX})",
        )
    if fragment.compression_codec is CompressionCodec.INVALID:
        raise ValidationError(f"{path}.CompressionCodec", "invalid value (INVALID)")
    for i, store in enumerate(fragment.stores):
        url = StoreURL.parse(store, path=f"{path}.Stores[{i}]")
        if (
            i == 0
            and url.scheme == "file"
            and fragment.compression_codec is CompressionCodec.GZIP_OFFLOAD_DECOMPRESSION
        ):
            raise ValidationError(
                path, f"GZIP_OFFLOAD_DECOMPRESSION is incompatible with file:// stores ({store})"
            )
    _validate_intervals(fragment, path)


def _validate_intervals(fragment: FragmentSpec, path: str) -> None:
    refresh_ns, flush_ns = fragment.refresh_interval_ns, fragment.flush_interval_ns
    if not REFRESH_INTERVAL_S_MIN * _NS <= refresh_ns <= REFRESH_INTERVAL_S_MAX * _NS:
        raise ValidationError(
            path,
            f"invalid RefreshInterval ({refresh_ns / _NS:g}s; expected {REFRESH_INTERVAL_S_MIN}s <="
            f" interval <= {REFRESH_INTERVAL_S_MAX}s)",
        )
    if flush_ns != 0 and flush_ns < FLUSH_INTERVAL_S_MIN * _NS:
        raise ValidationError(
            path,
            f"invalid FlushInterval ({flush_ns / _NS:g}s; expected 0, or >="
            f" {FLUSH_INTERVAL_S_MIN}s)",
        )
