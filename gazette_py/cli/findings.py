"""What `journalctl doctor` finds: causes in plain words, with what was seen and what mends them."""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from gazette_py.cli.doctor_facts import Facts

CLOCK_S_MAX = 5.0
"""Brokers bear tokens of clocks which are so far ahead."""

REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED")
SILENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


class Severity(StrEnum):
    """How bad it is."""

    PROBLEM = "problem"  # Appends or reads fail, or the next one may.
    WARNING = "warning"  # They work, and something is not as it should be.
    NOTE = "note"  # It is as somebody wanted it, and may surprise others.


class Cause(StrEnum):
    """What is wrong: names for programs."""

    WRONG_ADDRESS = "wrong-address"
    NOT_A_BROKER = "not-a-broker"
    TOKEN_EXPIRED = "token-expired"  # noqa: S105  # It is none.
    TOKEN_EARLY = "token-not-valid-yet"  # noqa: S105  # Nor is this.
    NOT_ADMITTED = "not-admitted"
    CONNECTION = "connection"
    ETCD = "etcd-unreachable"
    BROKER_SILENT = "broker-silent"
    DISK_FULL = "disk-full"
    CLOCK = "clock-skew"
    STORE = "store-unhealthy"
    STORE_DELETE = "store-denies-delete"
    LISTING = "store-not-listed"
    NOT_FOUND = "journal-not-found"
    NO_PRIMARY = "no-primary"
    TOO_FEW_BROKERS = "too-few-brokers"
    NO_ROOM = "no-room"
    TOO_FEW_ZONES = "too-few-zones"
    INDEX_AHEAD = "index-ahead"
    SUSPENDED = "suspended"
    FLAGS = "flags"
    APPEND_REFUSED = "append-refused"
    READ_REFUSED = "read-refused"
    SHADOWED = "systemd-shadowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cause."""

    cause: Cause
    severity: Severity
    subject: str  # What it is about, such as "journal acme/orders".
    says: str  # In plain words.
    evidence: str  # What was seen.
    mend: str  # A command, or what to do in words.


def _finding(
    severity: Severity, cause: Cause, subject: str, says: str, evidence: str, mend: str
) -> Finding:
    return Finding(
        cause=cause,
        severity=severity,
        subject=subject,
        says=says,
        evidence=evidence,
        mend=mend,
    )


problem = partial(_finding, Severity.PROBLEM)
warning = partial(_finding, Severity.WARNING)
note = partial(_finding, Severity.NOTE)


def ago(seconds: float) -> str:
    """Return a span of time in a unit of which it has two or more."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def admission(facts: Facts, subject: str, detail: str) -> Finding:
    """Return why we are not let in."""
    credentials, now = facts.credentials, facts.now
    if credentials.expires_at is not None and credentials.expires_at <= now:
        return problem(
            Cause.TOKEN_EXPIRED,
            "token",
            f"it expired {ago(now - credentials.expires_at)} ago, and brokers refuse it",
            detail,
            "export BROKER_AUTH_TOKEN=...  # a new one, of who has the brokers' keys",
        )
    if credentials.issued_at is not None and credentials.issued_at > now + CLOCK_S_MAX:
        return problem(
            Cause.TOKEN_EARLY,
            "token",
            f"it is valid only in {ago(credentials.issued_at - now)}: the clock of whoever"
            " signed it is ahead, or this machine's is behind",
            detail,
            "timedatectl set-ntp true",
        )
    told = {
        "none": "they ask for a token, and none was given",
        "keys": "they do not accept tokens of these keys",
        "token": "they do not accept this token, or not for this",
    }
    return problem(
        Cause.NOT_ADMITTED,
        subject,
        told[credentials.kind],
        detail,
        "export BROKER_AUTH_KEYS=...  # as brokers have them, or BROKER_AUTH_TOKEN",
    )
