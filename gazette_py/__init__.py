"""gazette_py: a Gazette-compatible journal broker over object storage, and its client.

async with gazette_py.connect("http://localhost:8080") as client:
await client.append("acme/orders", b"tea")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gazette_py.client import connect as connect

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Of each command's start, the client is no part until it is asked for.
    if name != "connect":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gazette_py.client import connect

    return connect
