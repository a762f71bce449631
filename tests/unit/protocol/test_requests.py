"""Rules of requests: what is refused, and by which path."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from gazette_py.errors import ValidationError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import requests

BAD_HEADER = pb.Header(etcd=pb.Header.Etcd(cluster_id=1), route=pb.Route(primary=-1))
HEADER = pb.Header(
    route=pb.Route(primary=-1),
    etcd=pb.Header.Etcd(cluster_id=1, member_id=2, revision=3, raft_term=4),
)
SPEC = pb.JournalSpec(
    name="a/journal",
    replication=1,
    fragment=pb.JournalSpec.Fragment(
        length=1024, compression_codec=pb.NONE, refresh_interval=Duration(seconds=1)
    ),
)
UNSORTED = pb.LabelSet(labels=[pb.Label(name="bb"), pb.Label(name="aa")])
PROPOSAL = pb.Fragment(journal="a/journal", compression_codec=pb.NONE)

Validate = Callable[[Any], None]


def changed(message: Any, **fields: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    copy.MergeFrom(type(message)(**fields))
    return copy


def apply_of(**fields: Any) -> pb.ApplyRequest:
    return pb.ApplyRequest(changes=[pb.ApplyRequest.Change(**fields)])


READ = pb.ReadRequest(journal="a/journal")
APPEND = pb.AppendRequest(journal="a/journal")
REPLICATE = pb.ReplicateRequest(header=HEADER, proposal=PROPOSAL, acknowledge=True)
FRAGMENTS = pb.FragmentsRequest(journal="a/journal")

VALID: list[tuple[Validate, Any]] = [
    (requests.validate_list_request, pb.ListRequest()),
    (
        requests.validate_list_request,
        pb.ListRequest(
            selector=pb.LabelSelector(
                include=pb.LabelSet(labels=[pb.Label(name="prefix", value="a/")])
            )
        ),
    ),
    (requests.validate_apply_request, pb.ApplyRequest()),
    (requests.validate_apply_request, apply_of(upsert=SPEC)),
    (requests.validate_apply_request, apply_of(upsert=SPEC, expect_mod_revision=-1)),
    (requests.validate_apply_request, apply_of(delete="a/journal", expect_mod_revision=-1)),
    (requests.validate_apply_request, apply_of(delete="a/journal", expect_mod_revision=1)),
    (requests.validate_read_request, READ),
    (requests.validate_read_request, changed(READ, header=HEADER, offset=-1)),
    (requests.validate_read_request, changed(READ, offset=5, end_offset=5)),
    (requests.validate_append_first, APPEND),
    (
        requests.validate_append_first,
        changed(
            APPEND,
            header=HEADER,
            offset=3,
            suspend=pb.AppendRequest.SUSPEND_KEEP,
            check_registers=pb.LabelSelector(),
            union_registers=pb.LabelSet(),
            subtract_registers=pb.LabelSet(),
        ),
    ),
    (requests.validate_append_first, pb.AppendRequest(content=b"x")),
    (requests.validate_append_content, pb.AppendRequest(min_etcd_revision=5)),
    (requests.validate_replicate_first, REPLICATE),
    (requests.validate_replicate_first, changed(REPLICATE, deprecated_journal="a/journal")),
    (requests.validate_replicate_request, pb.ReplicateRequest(proposal=PROPOSAL)),
    (requests.validate_replicate_request, pb.ReplicateRequest(content=b"x", content_delta=5)),
    (requests.validate_fragments_request, FRAGMENTS),
    (
        requests.validate_fragments_request,
        changed(
            FRAGMENTS,
            header=HEADER,
            page_limit=10_000,
            begin_mod_time=5,
            end_mod_time=5,
            signatureTTL=Duration(nanos=1),
        ),
    ),
    (requests.validate_health_request, pb.FragmentStoreHealthRequest(fragment_store="s3://b/")),
    (
        requests.validate_health_request,
        pb.FragmentStoreHealthRequest(
            fragment_store="s3://b/", check_delete=True, check_delete_prefix="a/b/"
        ),
    ),
]

BROKEN: list[tuple[Validate, Any, str]] = [
    (
        requests.validate_list_request,
        pb.ListRequest(selector=pb.LabelSelector(exclude=UNSORTED)),
        "Selector.Exclude: Labels not in unique, sorted order",
    ),
    (
        requests.validate_list_request,
        pb.ListRequest(
            selector=pb.LabelSelector(
                exclude=pb.LabelSet(labels=[pb.Label(name="prefix", value="a")])
            )
        ),
        'Selector.Exclude.Labels["prefix"]: expected trailing',
    ),
    (requests.validate_apply_request, apply_of(), "Changes[0]: neither Upsert nor Delete"),
    (
        requests.validate_apply_request,
        apply_of(upsert=SPEC, delete="a/journal"),
        "Changes[0]: both Upsert and Delete",
    ),
    (
        requests.validate_apply_request,
        apply_of(upsert=changed(SPEC, fragment=pb.JournalSpec.Fragment(length=1))),
        "Changes[0].Upsert.Fragment: invalid Length",
    ),
    (
        requests.validate_apply_request,
        apply_of(upsert=changed(SPEC, name="../up")),
        "Changes[0].Upsert.Name: cannot begin with '..'",
    ),
    (
        requests.validate_apply_request,
        apply_of(upsert=changed(SPEC, suspend=pb.JournalSpec.Suspend(level=7))),  # type: ignore[arg-type]
        "Changes[0].Upsert.Suspend.Level: invalid Level variant (7)",
    ),
    (
        requests.validate_apply_request,
        apply_of(upsert=SPEC, expect_mod_revision=-2),
        "Changes[0]: invalid ExpectModRevision (-2; expected >= 0 or -1)",
    ),
    (
        requests.validate_apply_request,
        apply_of(delete="a/journal"),
        "Changes[0]: invalid ExpectModRevision (0; expected > 0 or -1)",
    ),
    (
        requests.validate_apply_request,
        apply_of(delete="a/journal;meta", expect_mod_revision=-1),
        "Changes[0].Delete: cannot have a metadata path segment",
    ),
    (
        requests.validate_apply_request,
        pb.ApplyRequest(
            changes=[
                pb.ApplyRequest.Change(delete="a/journal", expect_mod_revision=3),
                pb.ApplyRequest.Change(upsert=changed(SPEC, name="a/journal")),
            ]
        ),
        "Changes[1]: Changes[0] is of a/journal, too",
    ),
    (requests.validate_read_request, pb.ReadRequest(), "Journal: invalid length (0"),
    (requests.validate_read_request, changed(READ, header=BAD_HEADER), "Header.Etcd: invalid"),
    (requests.validate_read_request, changed(READ, offset=-2), "invalid Offset (-2"),
    (
        requests.validate_read_request,
        changed(READ, offset=5, end_offset=4),
        "invalid EndOffset (4",
    ),
    (
        requests.validate_read_request,
        changed(READ, offset=-1, end_offset=-1),
        "invalid EndOffset (-1",
    ),
    (requests.validate_append_first, pb.AppendRequest(journal="/abc"), "Journal: cannot begin"),
    (requests.validate_append_first, changed(APPEND, header=BAD_HEADER), "Header.Etcd"),
    (requests.validate_append_first, changed(APPEND, offset=-1), "invalid Offset (-1"),
    (requests.validate_append_first, changed(APPEND, content=b"x"), "unexpected Content"),
    (
        requests.validate_append_first,
        changed(APPEND, check_registers=pb.LabelSelector(include=UNSORTED)),
        "CheckRegisters.Include: Labels not in",
    ),
    (
        requests.validate_append_first,
        changed(APPEND, union_registers=UNSORTED),
        "UnionRegisters: Labels not in",
    ),
    (
        requests.validate_append_first,
        changed(APPEND, subtract_registers=UNSORTED),
        "SubtractRegisters: Labels not in",
    ),
    (
        requests.validate_append_first,
        changed(APPEND, suspend=9),
        "Suspend: invalid Suspend variant (9)",
    ),
    (requests.validate_append_first, pb.AppendRequest(offset=1), "unexpected Offset"),
    (requests.validate_append_content, APPEND, "unexpected Journal"),
    (requests.validate_append_content, pb.AppendRequest(header=HEADER), "unexpected Header"),
    (requests.validate_append_content, pb.AppendRequest(do_not_proxy=True), "unexpected DoNot"),
    (
        requests.validate_append_content,
        pb.AppendRequest(check_registers=pb.LabelSelector()),
        "unexpected CheckRegisters",
    ),
    (
        requests.validate_append_content,
        pb.AppendRequest(union_registers=pb.LabelSet()),
        "unexpected UnionRegisters",
    ),
    (
        requests.validate_append_content,
        pb.AppendRequest(subtract_registers=pb.LabelSet()),
        "unexpected SubtractRegisters",
    ),
    (
        requests.validate_append_content,
        pb.AppendRequest(suspend=pb.AppendRequest.SUSPEND_NOW),
        "unexpected Suspend",
    ),
    (
        requests.validate_replicate_first,
        pb.ReplicateRequest(proposal=PROPOSAL),
        "expected Header",
    ),
    (requests.validate_replicate_first, pb.ReplicateRequest(header=HEADER), "expected Proposal"),
    (
        requests.validate_replicate_first,
        pb.ReplicateRequest(header=HEADER, proposal=PROPOSAL),
        "expected Acknowledge with Header",
    ),
    (
        requests.validate_replicate_first,
        changed(REPLICATE, header=pb.Header(process_id=pb.ProcessSpec.ID(zone="x"))),
        "Header.ProcessId.Suffix",
    ),
    (
        requests.validate_replicate_request,
        changed(REPLICATE, proposal=pb.Fragment(begin=5)),
        "Proposal: expected Begin <= End",
    ),
    (
        requests.validate_replicate_request,
        changed(REPLICATE, registers=UNSORTED),
        "Registers: Labels not in",
    ),
    (
        requests.validate_replicate_request,
        changed(REPLICATE, content=b"xyz"),
        "unexpected Content with Proposal (len 3)",
    ),
    (
        requests.validate_replicate_request,
        changed(REPLICATE, content_delta=1),
        "unexpected ContentDelta with Proposal (1)",
    ),
    (
        requests.validate_replicate_request,
        changed(REPLICATE, deprecated_journal="other"),
        "DeprecatedJournal and Proposal.Journal mismatch",
    ),
    (requests.validate_replicate_request, pb.ReplicateRequest(), "expected Content or Proposal"),
    (
        requests.validate_replicate_request,
        pb.ReplicateRequest(content=b"x", content_delta=-1),
        "invalid ContentDelta (-1",
    ),
    (
        requests.validate_replicate_request,
        pb.ReplicateRequest(content=b"x", header=HEADER),
        "unexpected Header with Content",
    ),
    (
        requests.validate_replicate_request,
        pb.ReplicateRequest(content=b"x", registers=pb.LabelSet()),
        "unexpected Registers with Content",
    ),
    (
        requests.validate_replicate_request,
        pb.ReplicateRequest(content=b"x", acknowledge=True),
        "unexpected Acknowledge with Content",
    ),
    (
        requests.validate_replicate_request,
        pb.ReplicateRequest(content=b"x", deprecated_journal="abcd"),
        "unexpected DeprecatedJournal with Content",
    ),
    (requests.validate_fragments_request, pb.FragmentsRequest(), "Journal: invalid length"),
    (
        requests.validate_fragments_request,
        changed(FRAGMENTS, begin_mod_time=2, end_mod_time=1),
        "invalid EndModTime (1 must be after 2)",
    ),
    (
        requests.validate_fragments_request,
        changed(FRAGMENTS, next_page_token=-1),
        "invalid NextPageToken (-1",
    ),
    (requests.validate_fragments_request, changed(FRAGMENTS, page_limit=-1), "invalid PageLimit"),
    (
        requests.validate_fragments_request,
        changed(FRAGMENTS, page_limit=10_001),
        "invalid PageLimit (10001",
    ),
    (
        requests.validate_fragments_request,
        changed(FRAGMENTS, signatureTTL=Duration()),
        "invalid SignatureTTL",
    ),
    (
        requests.validate_health_request,
        pb.FragmentStoreHealthRequest(fragment_store="azure-ad://t/a"),
        "FragmentStore: missing storage container",
    ),
    (
        requests.validate_health_request,
        pb.FragmentStoreHealthRequest(fragment_store="s3://b/", check_delete_prefix="a/"),
        "CheckDeletePrefix: cannot be set when CheckDelete is false",
    ),
    (
        requests.validate_health_request,
        pb.FragmentStoreHealthRequest(
            fragment_store="s3://b/", check_delete=True, check_delete_prefix="a"
        ),
        "CheckDeletePrefix: must end in '/'",
    ),
    (
        requests.validate_health_request,
        pb.FragmentStoreHealthRequest(
            fragment_store="s3://b/", check_delete=True, check_delete_prefix="../a/"
        ),
        "CheckDeletePrefix: cannot traverse outside the store",
    ),
    (
        requests.validate_health_request,
        pb.FragmentStoreHealthRequest(
            fragment_store="s3://b/", check_delete=True, check_delete_prefix="a//b/"
        ),
        "CheckDeletePrefix: must be a clean path",
    ),
]


@pytest.mark.parametrize(("validate", "request_"), VALID)
def test_valid_requests(validate: Validate, request_: Any) -> None:
    validate(request_)


@pytest.mark.parametrize(("validate", "request_", "expected"), BROKEN)
def test_broken_requests(validate: Validate, request_: Any, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate(request_)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("duration", [Duration(seconds=1, nanos=-1), Duration(seconds=1 << 40)])
def test_durations_which_the_reference_cannot_decode(duration: Duration) -> None:
    """Such a spec would be ignored by every broker of the reference."""
    with pytest.raises(DecodeError, match="out of range"):
        requests.validate_apply_request(
            apply_of(upsert=changed(SPEC, fragment=pb.JournalSpec.Fragment(retention=duration)))
        )
    with pytest.raises(DecodeError, match="out of range"):
        requests.validate_fragments_request(changed(FRAGMENTS, signatureTTL=duration))


def test_a_journal_may_be_deleted_twice() -> None:
    """etcd takes it, and so do brokers of the reference."""
    twice = pb.ApplyRequest.Change(delete="a/journal", expect_mod_revision=-1)
    requests.validate_apply_request(pb.ApplyRequest(changes=[twice, twice]))
