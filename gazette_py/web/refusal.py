"""What a request is answered with which is not served. Pure."""

from gazette_py.errors import GazetteError


class RefusedError(GazetteError):
    """A request is answered with an error status.

    Attributes:
        status: Of HTTP.
        reason: For whoever sent it: what is wrong, and what would be right.
        headers: Beside those which every answer has.
    """

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}
