"""HTTP connections of stores whose libraries speak through `requests`, which comes with them.

A session never tries anything again, and no answer which is an error keeps its connection: who
opens a stream looks at the status first, and would else leave the socket to the garbage collector.
"""

from typing import Any, Protocol

import requests
import requests.adapters
import urllib3.exceptions

FOREIGN_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)
"""What a session, or the reading of a body, may raise."""

_CONFIGURATION_ERRORS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
)


class Body(Protocol):
    """The stored bytes of an answer, as they come."""

    def read(self, amt: int, /) -> bytes:
        """Return up to `amt` bytes; none at the end. A body which was cut short is an error."""
        ...

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
        ...


def prepare(session: requests.Session, connections_max: int) -> None:
    """Give a session its connections, and have it read errors to their end."""
    for scheme in ("http://", "https://"):
        adapter = requests.adapters.HTTPAdapter(
            pool_connections=2, pool_maxsize=connections_max, max_retries=0
        )
        session.mount(scheme, adapter)
    session.hooks["response"].append(_read_errors)


def may_pass(exc: Exception) -> bool:
    """Tell whether one of `FOREIGN_ERRORS` is a failure of the network, not of configuration."""
    if isinstance(exc, _CONFIGURATION_ERRORS):
        return False
    # An answer which is no JSON was cut, or comes from a proxy on the way.
    return isinstance(exc, OSError | urllib3.exceptions.HTTPError)


def _read_errors(answer: requests.Response, *_args: Any, **_options: Any) -> None:
    if answer.status_code >= 400:
        _ = answer.content
