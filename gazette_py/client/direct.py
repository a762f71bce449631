"""Content of one stored fragment, decoded and verified on the way.

Invariants:
    D1  A file is read from its first byte, wherever the caller wants to begin, so its whole content
        is compared with the fragment's length and SHA-1.
    D2  The last piece is handed out only after the comparison: who was given a whole fragment holds
        what its writer summed.

Units: bytes before compression, offsets of the journal.
Source: gazette/core broker/client/reader.go (FragmentReader), which verifies only the length.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from contextlib import aclosing

from gazette_py.codecs import CodecError, decompressor
from gazette_py.errors import CorruptFragmentError
from gazette_py.protocol.fragment import Fragment, content_path
from gazette_py.stores.base import ObjectStream

_PIECE_BYTES = 1 << 20
"""About as much is decoded per visit to the thread."""


async def read_fragment(
    fragment: Fragment, stream: ObjectStream, executor: Executor
) -> AsyncGenerator[bytes, None]:
    """Yield the fragment's content from its begin, in pieces of about 1 MiB.

    Raises:
        CorruptFragmentError: The file is damaged, or is not what the fragment's name says.
        StoreError: The store failed.
    """
    decoding = _Decoding(fragment, is_still_gzip=stream.content_encoding == "gzip")
    loop = asyncio.get_running_loop()
    held = b""
    async with aclosing(stream.chunks):
        async for chunk in stream.chunks:
            rest = memoryview(chunk)
            while rest:
                piece, rest = await loop.run_in_executor(executor, decoding.decode, rest)
                if held and piece:
                    yield held
                held = piece or held
    decoding.finish()
    if held:
        yield held


class _Decoding:
    """Decodes a file and sums its content. Used by one thread at a time."""

    def __init__(self, fragment: Fragment, *, is_still_gzip: bool) -> None:
        self._fragment = fragment
        self._decompressor = decompressor(fragment.compression_codec, is_still_gzip=is_still_gzip)
        self._sum = hashlib.sha1(usedforsecurity=False)
        self._length = 0

    def decode(self, data: memoryview) -> tuple[bytes, memoryview]:
        """Take a prefix of the file's next bytes; return its content, and what was not taken."""
        pieces = []
        decoded = 0
        while data and decoded < _PIECE_BYTES:
            size = self._decompressor.piece_bytes_max
            try:
                piece = self._decompressor.decompress(data[:size])
            except CodecError as exc:
                raise self._corrupt(exc.reason) from exc
            data = data[size:]
            decoded += len(piece)
            pieces.append(piece)
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._sum.update(content)
        self._length += len(content)
        if self._length > self._fragment.length:
            raise self._corrupt("the file goes on")
        return content, data

    def finish(self) -> None:
        """Compare the whole content with what the fragment promises (D1)."""
        try:
            self._decompressor.finish()
        except CodecError as exc:
            raise self._corrupt(exc.reason) from exc
        if self._length != self._fragment.length or self._sum.digest() != self._fragment.sum:
            raise self._corrupt("")

    def _corrupt(self, reason: str) -> CorruptFragmentError:
        found = f"{self._length} bytes with SHA-1 {self._sum.hexdigest()}"
        fragment = self._fragment
        return CorruptFragmentError(
            fragment.journal,
            f"{fragment.backing_store.partition('?')[0]}{content_path(fragment)}",
            f"{fragment.length} bytes with SHA-1 {fragment.sum.hex()}",
            f"{found} ({reason})" if reason else found,
        )
