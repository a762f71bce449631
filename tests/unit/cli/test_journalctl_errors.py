"""Exit codes and words of failures."""

import json

import pytest

from gazette_py import errors
from gazette_py.cli.errors import ExitCode, Failure, failure_of
from gazette_py.protocol.labels import LabelSet

CASES = [
    (errors.ValidationError("Name", "too short"), 2, "INVALID"),
    (errors.ConfigError("--x", "no"), 2, "INVALID"),
    (errors.JournalNotFoundError("a/b", "JOURNAL_NOT_FOUND"), 3, "JOURNAL_NOT_FOUND"),
    (
        errors.EtcdTransactionFailedError("", "ETCD_TRANSACTION_FAILED"),
        4,
        "ETCD_TRANSACTION_FAILED",
    ),
    (errors.WrongAppendOffsetError("a/b", "WRONG_APPEND_OFFSET"), 4, "WRONG_APPEND_OFFSET"),
    (errors.RegisterMismatchError("a/b", LabelSet.of(("kk", "v"))), 4, "REGISTER_MISMATCH"),
    (errors.NotAllowedError("a/b", "NOT_ALLOWED"), 5, "NOT_ALLOWED"),
    (errors.RpcUnauthenticatedError("h", "PERMISSION_DENIED", "no"), 5, "PERMISSION_DENIED"),
    (
        errors.InsufficientBrokersError("a/b", "INSUFFICIENT_JOURNAL_BROKERS"),
        6,
        "INSUFFICIENT_JOURNAL_BROKERS",
    ),
    (errors.NoPrimaryError("a/b", "NO_JOURNAL_PRIMARY_BROKER"), 6, "NO_JOURNAL_PRIMARY_BROKER"),
    (errors.RpcUnavailableError("h", "UNAVAILABLE", "gone"), 6, "UNAVAILABLE"),
    (errors.RpcDeadlineError("h", "DEADLINE_EXCEEDED", "late"), 6, "DEADLINE_EXCEEDED"),
    (
        errors.StoreUnhealthyError("a/b", "FRAGMENT_STORE_UNHEALTHY", "denied"),
        8,
        "FRAGMENT_STORE_UNHEALTHY",
    ),
    (errors.AppendOutcomeUnknownError("h", "UNAVAILABLE", "gone"), 8, "UNAVAILABLE"),
    (errors.CorruptFragmentError("a/b", "f", "x", "y"), 8, "READ_FAILED"),
    (errors.ReadError("a/b", 5, "backwards"), 1, "READ_FAILED"),
    (errors.RpcError("h", "INTERNAL", "bug"), 1, "INTERNAL"),
    (errors.JournalError("a/b", "WRONG_ROUTE"), 1, "WRONG_ROUTE"),
    (errors.StoreDeniedError("s3://b/", "get", "k", "no"), 1, "ERROR"),
]


@pytest.mark.parametrize(("error", "code", "status"), CASES, ids=lambda value: str(value)[:40])
def test_every_error_has_its_code(error: errors.GazetteError, code: int, status: str) -> None:
    failure = failure_of(error)

    assert failure.code == code
    assert failure.status == status
    assert failure.what
    assert failure.detail


def test_registers_are_told_as_they_are_written() -> None:
    failure = failure_of(errors.RegisterMismatchError("a/b", LabelSet.of(("kk", "v"), ("ll", ""))))

    assert failure.detail == "its registers do not match the check (they are kk=v, ll=)"


def test_an_unknown_outcome_says_what_to_look_at() -> None:
    (hint,) = failure_of(errors.AppendOutcomeUnknownError("h", "UNAVAILABLE", "gone")).hints

    assert "may be in the journal, or not" in hint


def test_the_forms_of_a_failure() -> None:
    failure = Failure(
        code=ExitCode.CONFLICT,
        status="S",
        what="it",
        detail="is so",
        hints=("Do this.", "Or that."),
    )

    assert failure.as_text() == "error: it (S): is so\nhint: Do this.\nhint: Or that."
    assert json.loads(failure.as_json()) == {
        "error": {"code": 4, "status": "S", "message": "it: is so", "hint": "Do this. Or that."}
    }
