"""What the gateways ask of the broker which they are part of.

The protocol's own messages go in and come out, and calls are forwarded to other brokers as those
of gRPC are: a gateway serves every journal of the cluster.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol.claims import Capability


class BodyFile(Protocol):
    """Bytes on disk, which go away with their last reference."""

    def write(self, position: int, content: bytes | memoryview) -> None:
        """Write at a position.

        Raises:
            OSError: There is no room.
        """
        ...

    def read(self, position: int, length: int) -> bytes:
        """Return up to `length` bytes from a position; fewer only at the end."""
        ...


class JournalCalls(Protocol):
    """Calls of a broker. `authorization` is the header of that name, or empty.

    It is what gRPC's metadata of that name is, and is judged in the same place. Each call raises
    RpcError, whose code is that of gRPC. A generator which is closed ends its call.
    """

    def check(self, capability: Capability, journal: str, authorization: str) -> None:
        """Refuse who may not do that with the journal.

        Calls verify their token themselves. This tells before a body is received, and tells a
        journal which the token is not for from one which is missing.
        """
        ...

    def read(
        self, request: pb.ReadRequest, authorization: str
    ) -> AsyncGenerator[pb.ReadResponse, None]:
        """Yield the responses of a Read."""
        ...

    def list(
        self, request: pb.ListRequest, authorization: str
    ) -> AsyncGenerator[pb.ListResponse, None]:
        """Yield the responses of a List."""
        ...

    async def append(
        self, request: pb.AppendRequest, content: AsyncIterator[bytes], authorization: str
    ) -> pb.AppendResponse:
        """Append all of the content, or nothing: pieces which are not empty.

        Raises:
            AppendOutcomeUnknownError: It may be in the journal, or not.
        """
        ...

    async def wait_stopping(self) -> None:
        """Wait until the broker begins to stop: it takes no append from then on."""
        ...

    def content_type(self, journal: str) -> str:
        """Return the journal's label content-type, or the empty string."""
        ...

    def open_body(self, journal: str) -> BodyFile:
        """Return an empty file for the body of an append.

        Raises:
            OSError: It cannot be made.
        """
        ...
