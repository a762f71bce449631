"""Rules of requests, on the messages as they arrive.

Messages which run once for each chunk of content are checked by fields, without conversion.
Durations out of range are `DecodeError`s, as they are for the reference.

Source: gazette/core broker/protocol/rpc_extensions.go.
"""

import posixpath
from typing import Final

from gazette_py.errors import ValidationError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import AppendSuspend
from gazette_py.protocol.fragment import validate_fragment
from gazette_py.protocol.journal import validate_journal, validate_journal_without_meta
from gazette_py.protocol.journal_rules import validate_journal_spec
from gazette_py.protocol.labels import validate_label_set, validate_selector
from gazette_py.protocol.route import validate_header
from gazette_py.protocol.store_url import StoreURL
from gazette_py.protocol.text import escapes_root, validate_path_component

PAGE_LIMIT_MAX: Final = 10_000

_RequestWithHeader = pb.ReadRequest | pb.AppendRequest | pb.ReplicateRequest | pb.FragmentsRequest


def validate_list_request(request: pb.ListRequest) -> None:
    """Refuse a bad selector, or a pseudo-label `prefix` which names no directory.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    selector = convert.selector_from_pb(request.selector)
    validate_selector(selector, "Selector")
    for side, labels in (("Include", selector.include), ("Exclude", selector.exclude)):
        for value in labels.values_of("prefix"):
            if not value.endswith("/"):
                raise ValidationError(
                    f'Selector.{side}.Labels["prefix"]', f"expected trailing '/' ({value})"
                )


def validate_apply_request(request: pb.ApplyRequest) -> None:
    """Refuse changes which are none or two, break rules of specs, or expect impossible revisions.

    Raises:
        ValidationError: The path leads to the faulty field.
        DecodeError: A duration is out of range.
    """
    for i, change in enumerate(request.changes):
        path = f"Changes[{i}]"
        revision = change.expect_mod_revision
        if change.HasField("upsert"):
            if change.delete:
                raise ValidationError(path, "both Upsert and Delete are set (expected exactly one)")
            try:
                spec = convert.journal_from_pb(change.upsert)
            except ValueError as exc:
                level = change.upsert.suspend.level
                raise ValidationError(
                    f"{path}.Upsert.Suspend.Level", f"invalid Level variant ({level})"
                ) from exc
            validate_journal_spec(spec, f"{path}.Upsert", is_new=True)
            if revision < 0 and revision != -1:
                raise ValidationError(
                    path, f"invalid ExpectModRevision ({revision}; expected >= 0 or -1)"
                )
        elif change.delete:
            validate_journal_without_meta(change.delete, f"{path}.Delete")
            if revision <= 0 and revision != -1:
                raise ValidationError(
                    path, f"invalid ExpectModRevision ({revision}; expected > 0 or -1)"
                )
        else:
            raise ValidationError(path, "neither Upsert nor Delete are set (expected exactly one)")
    _require_one_change_each(request)


def _require_one_change_each(request: pb.ApplyRequest) -> None:
    """Refuse what etcd would refuse without saying which it was: a key put twice, or deleted, too.

    Raises:
        ValidationError: Of the second change.
    """
    first: dict[str, int] = {}
    for i, change in enumerate(request.changes):
        name = change.upsert.name or change.delete
        j = first.setdefault(name, i)
        if i != j and (change.HasField("upsert") or request.changes[j].HasField("upsert")):
            raise ValidationError(
                f"Changes[{i}]",
                f"Changes[{j}] is of {name}, too: all changes are made at once, so each journal"
                " can have one; send them one after another",
            )


def validate_read_request(request: pb.ReadRequest) -> None:
    """Refuse a bad header, journal or span.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    _validate_request_header(request)
    validate_journal(request.journal, "Journal")
    if request.offset < -1:
        raise ValidationError(
            "", f"invalid Offset ({request.offset}; expected -1 <= Offset <= MaxInt64)"
        )
    if request.end_offset < 0 or 0 < request.end_offset < request.offset:
        raise ValidationError(
            "", f"invalid EndOffset ({request.end_offset}; expected 0 or Offset <= EndOffset)"
        )


def validate_append_first(request: pb.AppendRequest) -> None:
    """Refuse bad parameters of an append. A first message without a journal is one of content.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    if not request.journal:
        validate_append_content(request)
        return
    _validate_request_header(request)
    validate_journal(request.journal, "Journal")
    if request.offset < 0:
        raise ValidationError("", f"invalid Offset ({request.offset}; expected >= 0)")
    if request.content:
        raise ValidationError("", "unexpected Content")
    if request.HasField("check_registers"):
        validate_selector(convert.selector_from_pb(request.check_registers), "CheckRegisters")
    if request.HasField("union_registers"):
        validate_label_set(convert.labels_from_pb(request.union_registers), "UnionRegisters")
    if request.HasField("subtract_registers"):
        validate_label_set(convert.labels_from_pb(request.subtract_registers), "SubtractRegisters")
    if int(request.suspend) not in set(AppendSuspend):
        raise ValidationError("Suspend", f"invalid Suspend variant ({request.suspend})")


def validate_append_content(request: pb.AppendRequest) -> None:
    """Refuse a message of content which has parameters.

    Raises:
        ValidationError: It names the unexpected field.
    """
    if request.journal:
        raise ValidationError("", "unexpected Journal")
    for is_set, field in (
        (request.HasField("header"), "Header"),
        (request.do_not_proxy, "DoNotProxy"),
        (request.offset != 0, "Offset"),
        (request.HasField("check_registers"), "CheckRegisters"),
        (request.HasField("union_registers"), "UnionRegisters"),
        (request.HasField("subtract_registers"), "SubtractRegisters"),
        (request.suspend != pb.AppendRequest.SUSPEND_RESUME, "Suspend"),
    ):
        if is_set:
            raise ValidationError("", f"unexpected {field}")


def validate_replicate_first(request: pb.ReplicateRequest) -> None:
    """Refuse a first message which is no proposal with a header.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    if not request.HasField("header"):
        raise ValidationError("", "expected Header")
    if not request.HasField("proposal"):
        raise ValidationError("", "expected Proposal")
    validate_replicate_request(request)


def validate_replicate_request(request: pb.ReplicateRequest) -> None:
    """Refuse a message which is neither a whole proposal nor whole content.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    if not request.HasField("proposal"):
        _validate_replicate_content(request)
        return
    if request.HasField("header"):
        _validate_request_header(request)
        if not request.acknowledge:
            raise ValidationError("", "expected Acknowledge with Header")
    validate_fragment(convert.fragment_from_pb(request.proposal), "Proposal")
    validate_label_set(convert.labels_from_pb(request.registers), "Registers")
    if request.content:
        raise ValidationError("", f"unexpected Content with Proposal (len {len(request.content)})")
    if request.content_delta:
        raise ValidationError(
            "", f"unexpected ContentDelta with Proposal ({request.content_delta})"
        )
    if request.deprecated_journal and request.deprecated_journal != request.proposal.journal:
        raise ValidationError(
            "",
            f"DeprecatedJournal and Proposal.Journal mismatch ({request.deprecated_journal} vs"
            f" {request.proposal.journal})",
        )


def _validate_replicate_content(request: pb.ReplicateRequest) -> None:
    if not request.content:
        raise ValidationError("", "expected Content or Proposal")
    if request.content_delta < 0:
        raise ValidationError("", f"invalid ContentDelta ({request.content_delta}; expected >= 0)")
    for is_set, field in (
        (request.HasField("header"), "Header"),
        (request.HasField("registers"), "Registers"),
        (request.acknowledge, "Acknowledge"),
        (request.deprecated_journal, "DeprecatedJournal"),
    ):
        if is_set:
            raise ValidationError("", f"unexpected {field} with Content")


def validate_fragments_request(request: pb.FragmentsRequest) -> None:
    """Refuse a bad header, journal, span of time, page or signature.

    Raises:
        ValidationError: The path leads to the faulty field.
        DecodeError: The lifetime of signatures is out of range.
    """
    _validate_request_header(request)
    validate_journal(request.journal, "Journal")
    if request.end_mod_time != 0 and request.end_mod_time < request.begin_mod_time:
        raise ValidationError(
            "",
            f"invalid EndModTime ({request.end_mod_time} must be after {request.begin_mod_time})",
        )
    if request.next_page_token < 0:
        raise ValidationError(
            "", f"invalid NextPageToken ({request.next_page_token}; must be >= 0)"
        )
    if not 0 <= request.page_limit <= PAGE_LIMIT_MAX:
        raise ValidationError(
            "",
            f"invalid PageLimit ({request.page_limit}; must be >= 0 and <= {PAGE_LIMIT_MAX})",
        )
    if request.HasField("signatureTTL"):
        ttl_ns = convert.duration_from_pb(request.signatureTTL)
        if ttl_ns <= 0:
            raise ValidationError("", f"invalid SignatureTTL ({ttl_ns} ns; must be > 0s)")


def validate_health_request(request: pb.FragmentStoreHealthRequest) -> None:
    """Refuse a bad store URL, or a prefix of the delete probe which leaves the store.

    Raises:
        ValidationError: The path leads to the faulty field.
    """
    StoreURL.parse(request.fragment_store, path="FragmentStore")
    prefix = request.check_delete_prefix
    if not prefix:
        return
    path = "CheckDeletePrefix"
    if not request.check_delete:
        raise ValidationError(path, "cannot be set when CheckDelete is false")
    if not prefix.endswith("/"):
        raise ValidationError(path, f"must end in '/' ({prefix})")
    if escapes_root(posixpath.normpath(prefix)):
        raise ValidationError(path, f"cannot traverse outside the store ({prefix})")
    validate_path_component(prefix[:-1], path, 1, 512)


def _validate_request_header(request: _RequestWithHeader) -> None:
    if request.HasField("header"):
        validate_header(convert.header_from_pb(request.header), "Header")
