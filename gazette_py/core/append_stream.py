"""Content of one append: which messages of the client are forwarded, and how the append ends.

Pure. The shell feeds each input in order and performs the answer; after `Commit` or `Rollback` it
sends that proposal and reads acknowledgements.

Invariants:
    C1  An append commits only after an empty message and then the end of the client's stream.
    C2  Everything else rolls back, and says why.
    C3  Registers change only together with at least one byte.

Source: gazette/core broker/append_fsm.go, onStreamContent.
"""

from dataclasses import dataclass

from gazette_py.protocol.enums import AppendSuspend, Status
from gazette_py.protocol.labels import LabelSet, subtract, union


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the content to every replica, at `delta` bytes behind the committed end."""

    delta: int


@dataclass(frozen=True, slots=True)
class AwaitEnd:
    """The client intends to commit: only the end of its stream may follow."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit what was forwarded."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """Discard what was forwarded, and answer with a Status or fail with a reason."""

    status: Status = Status.OK
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterChange:
    """What the request asks of the registers. None: the field was absent."""

    union: LabelSet | None = None
    subtract: LabelSet | None = None

    def __bool__(self) -> bool:
        return self.union is not None or self.subtract is not None

    def apply(self, registers: LabelSet) -> LabelSet:
        """Return the registers after a commit. The request's union wins over present values."""
        if self.subtract is not None:
            registers = subtract(registers, self.subtract)
        if self.union is not None:
            registers = union(self.union, registers)
        return registers


class AppendStream:
    """Decides about each message of the client's content."""

    def __init__(
        self, *, is_writable: bool, suspend: AppendSuspend, change: RegisterChange
    ) -> None:
        self._may_carry_content = is_writable and suspend in (
            AppendSuspend.RESUME,
            AppendSuspend.NO_RESUME,
        )
        self._change = change
        self._has_intent = False
        self.length = 0  # Bytes forwarded.

    def on_content(self, length: int) -> Forward | AwaitEnd | Rollback:
        """Take a message with `length` bytes of content."""
        if self._has_intent:
            return Rollback(reason="expected EOF after empty Content chunk")
        if length == 0:
            self._has_intent = True
            return AwaitEnd()
        if not self._may_carry_content:
            return Rollback(Status.NOT_ALLOWED)
        delta = self.length
        self.length += length
        return Forward(delta)

    def on_end(self) -> Commit | Rollback:
        """Take the end of the client's stream."""
        if not self._has_intent:
            return Rollback(reason="unexpected EOF")
        if self.length == 0 and self._change:
            return Rollback(reason="register modification requires non-empty Append")
        return Commit()
