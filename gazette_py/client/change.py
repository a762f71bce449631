"""Changes of journals, as `Client.apply` takes them. Pure."""

from dataclasses import dataclass

from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.journal import JournalSpec, validate_journal_without_meta


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Creates, updates or deletes a journal: exactly one of `upsert` and `delete` is set."""

    expect_mod_revision: int  # Of the spec now; 0: must not exist; -1: whatever it is.
    upsert: JournalSpec | None = None
    delete: str = ""


def change_to_pb(change: Change) -> pb.ApplyRequest.Change:
    """Return the message of a change.

    Raises:
        ValidationError: What shall be deleted is no name of a journal.
    """
    if change.delete:
        # Brokers refuse it, too, but those of Gazette die of what follows a `;`.
        validate_journal_without_meta(change.delete, "Delete")
    return pb.ApplyRequest.Change(
        expect_mod_revision=change.expect_mod_revision,
        upsert=None if change.upsert is None else convert.journal_to_pb(change.upsert),
        delete=change.delete,
    )
