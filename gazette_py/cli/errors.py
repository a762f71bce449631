"""What a failure means to the caller of a program: its exit code, its words, and the way out.

Exit codes: 0 done; 1 the server's or an unclassified error; 2 usage or invalid input; 3 nothing
matched; 4 conflict; 5 not allowed; 6 unavailable; 7 done in part; 8 unhealthy, or outcome unknown;
128 + n ended by signal n.
"""

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Any

import click

from gazette_py import errors


class ExitCode(IntEnum):
    """How a program ends."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NO_MATCH = 3
    CONFLICT = 4
    NOT_ALLOWED = 5
    UNAVAILABLE = 6
    PARTIAL = 7
    UNHEALTHY = 8
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What failed, why, and what to do."""

    code: ExitCode
    status: str  # Name of a status of the protocol, or of one of ours in the same spelling.
    what: str  # The thing, in a few words.
    detail: str  # The reason.
    hints: tuple[str, ...] = ()  # Ways out.

    def as_text(self) -> str:
        """Return the line of the error, and a line for each hint."""
        lines = [f"error: {self.what} ({self.status}): {self.detail}"]
        return "\n".join(lines + [f"hint: {hint}" for hint in self.hints])

    def as_json(self) -> str:
        """Return the error as one line of JSON."""
        error = {
            "code": int(self.code),
            "status": self.status,
            "message": f"{self.what}: {self.detail}",
            "hint": " ".join(self.hints),
        }
        return json.dumps({"error": error})


class TerminatedError(Exception):
    """SIGTERM ended the command."""


class CommandError(click.ClickException):
    """Ends a command with a failure."""

    def __init__(self, failure: Failure, *, is_json: bool = False) -> None:
        super().__init__(failure.detail)
        self.failure = failure
        self.is_json = is_json  # Whoever reads our output reads JSON.

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to stderr."""
        text = self.failure.as_json() if self.is_json else self.failure.as_text()
        click.echo(text, file=file, err=True)


def usage(what: str, detail: str, *hints: str) -> CommandError:
    """Return the error of a request which cannot be carried out as it was written."""
    return CommandError(
        Failure(code=ExitCode.USAGE, status="INVALID", what=what, detail=detail, hints=hints)
    )


def no_match(what: str, detail: str, *hints: str) -> CommandError:
    """Return the error of a selection without journals."""
    return CommandError(
        Failure(code=ExitCode.NO_MATCH, status="NOT_FOUND", what=what, detail=detail, hints=hints)
    )


def failure_of(exc: errors.GazetteError) -> Failure:
    """Return what an error of the package means here."""
    match exc:
        case errors.ValidationError(path=path, reason=reason):
            return Failure(
                code=ExitCode.USAGE, status="INVALID", what=path or "request", detail=reason
            )
        case errors.ConfigError(option=option, reason=reason):
            return Failure(code=ExitCode.USAGE, status="INVALID", what=option, detail=reason)
        case errors.JournalError():
            return _of_journal(exc)
        case errors.RpcError():
            return _of_rpc(exc)
        case errors.ReadError(journal=journal):
            return Failure(
                code=(
                    ExitCode.UNHEALTHY
                    if isinstance(exc, errors.CorruptFragmentError)
                    else ExitCode.ERROR
                ),
                status="READ_FAILED",
                what=f"journal {journal}",
                detail=str(exc),
            )
        case _:
            return Failure(
                code=ExitCode.ERROR, status="ERROR", what=type(exc).__name__, detail=str(exc)
            )


_OF_STATUS: dict[str, tuple[ExitCode, str, str]] = {
    "JOURNAL_NOT_FOUND": (
        ExitCode.NO_MATCH,
        "the brokers do not know it",
        "`journalctl list` names the journals which exist; `journalctl apply` creates them.",
    ),
    "NO_JOURNAL_PRIMARY_BROKER": (
        ExitCode.UNAVAILABLE,
        "no broker serves it as primary at the moment",
        "Wait some seconds and try again; `journalctl list` shows who serves it.",
    ),
    "INSUFFICIENT_JOURNAL_BROKERS": (
        ExitCode.UNAVAILABLE,
        "fewer brokers serve it than its replication asks for",
        "Start more brokers (in other zones), or lower the journal's replication.",
    ),
    "ETCD_TRANSACTION_FAILED": (
        ExitCode.CONFLICT,
        "a journal is not at the revision which was expected",
        "Somebody changed it meanwhile: look at `journalctl list -o yaml`, and apply again.",
    ),
    "NOT_ALLOWED": (
        ExitCode.NOT_ALLOWED,
        "the journal's flags do not permit this",
        "Its `flags` are shown by `journalctl list -o yaml`.",
    ),
    "WRONG_APPEND_OFFSET": (
        ExitCode.CONFLICT,
        "the write head is elsewhere than at the offset given",
        "`journalctl head` shows where it is.",
    ),
    "INDEX_HAS_GREATER_OFFSET": (
        ExitCode.CONFLICT,
        "stored fragments reach beyond the replicas' write head",
        "If no broker can still hold the content between, `journalctl reset-head` has the journal"
        " go on behind it; `journalctl doctor` tells whether one can.",
    ),
    "REGISTER_MISMATCH": (
        ExitCode.CONFLICT,
        "its registers do not match the check",
        "Another writer has taken over.",
    ),
    "SUSPENDED": (
        ExitCode.UNAVAILABLE,
        "it is suspended",
        "An append resumes it, unless it is told not to.",
    ),
    "FRAGMENT_STORE_UNHEALTHY": (
        ExitCode.UNHEALTHY,
        "its fragment store fails the brokers' checks",
        "Mend the store or its credentials; `journalctl list -o yaml` names it.",
    ),
}


def _detail_of(exc: errors.JournalError) -> str:
    if isinstance(exc, errors.RegisterMismatchError):
        registers = ", ".join(f"{label.name}={label.value}" for label in exc.registers)
        return f"they are {registers}" if registers else "it has none"
    return exc.detail


def _of_journal(exc: errors.JournalError) -> Failure:
    detail = _detail_of(exc)
    code, meaning, hint = _OF_STATUS.get(
        exc.status, (ExitCode.ERROR, "the broker refused the request", "")
    )
    return Failure(
        code=code,
        status=exc.status,
        what=f"journal {exc.journal}" if exc.journal else "request",
        detail=f"{meaning} ({detail})" if detail else meaning,
        hints=(hint,) if hint else (),
    )


def _of_rpc(exc: errors.RpcError) -> Failure:
    match exc:
        case errors.AppendOutcomeUnknownError():
            code = ExitCode.UNHEALTHY
            hint = (
                "The content may be in the journal, or not: compare the end of the journal"
                " before you append it again, or append with --check-register."
            )
        case errors.AppendTooSlowError():
            code = ExitCode.UNAVAILABLE
            hint = (
                "Nothing was appended. Brokers demand --broker.min-append-rate of each append:"
                " append less at once, or once the content is there."
            )
        case errors.RpcUnauthenticatedError():
            code = ExitCode.NOT_ALLOWED
            hint = (
                "The brokers ask for a token: give their keys by --broker.auth-keys"
                " (BROKER_AUTH_KEYS), or a token which allows this by --broker.auth-token."
            )
        case errors.RpcTlsError():
            code, hint = ExitCode.UNAVAILABLE, ""  # It is in the detail.
        case errors.RpcUnavailableError() | errors.RpcDeadlineError():
            code = ExitCode.UNAVAILABLE
            hint = (
                "Is a broker there? Name one by --broker.address or BROKER_ADDRESS;"
                " --request-timeout gives it more time."
            )
        case _:
            code, hint = ExitCode.ERROR, ""
    return Failure(
        code=code,
        status=exc.code,
        what=f"broker {exc.peer}",
        detail=exc.detail or "no further detail",
        hints=(hint,) if hint else (),
    )
