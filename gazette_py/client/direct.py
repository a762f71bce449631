"""Content of one stored fragment, decoded and verified on the way.

Invariants:
    D1  A file is read from its first byte, wherever the caller wants to begin, so its whole content
        is compared with the fragment's length and SHA-1.
    D2  The last piece is handed out only after the comparison: who was given a whole fragment holds
        what its writer summed.
    D3  That also holds where a stream broke, and another one was read from where it did: the second
        must begin with the same bytes as were handed out of the first.

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
    async with aclosing(FragmentReader(fragment, executor).read(stream)) as pieces:
        async for piece in pieces:
            yield piece


class FragmentReader:
    """Reads a fragment, by another stream of its file if one breaks."""

    def __init__(self, fragment: Fragment, executor: Executor) -> None:
        self._fragment = fragment
        self._executor = executor
        self._length = 0  # Of what was handed out,
        self._digest = b""  # and its SHA-1.

    async def read(self, stream: ObjectStream) -> AsyncGenerator[bytes, None]:
        """Yield content, which continues what was yielded before.

        Raises:
            CorruptFragmentError: The file is damaged, is not what the fragment's name says, or has
                changed since the stream before.
            StoreError: The store failed. Reading on by another stream is possible.
        """
        decoding = _Decoding(
            self._fragment,
            skip=self._length,
            skip_digest=self._digest,
            is_still_gzip=stream.content_encoding == "gzip",
        )
        loop = asyncio.get_running_loop()
        held, held_digest = b"", b""
        async with aclosing(stream.chunks):
            async for chunk in stream.chunks:
                rest = memoryview(chunk)
                while rest:
                    piece, digest, rest = await loop.run_in_executor(
                        self._executor, decoding.decode, rest
                    )
                    if held and piece:
                        self._hand_out(held, held_digest)
                        yield held
                    if piece:
                        held, held_digest = piece, digest
        decoding.finish()
        if held:
            self._hand_out(held, held_digest)
            yield held

    def _hand_out(self, piece: bytes, digest: bytes) -> None:
        self._length += len(piece)
        self._digest = digest


class _Decoding:
    """Decodes a file and sums its content. Used by one thread at a time."""

    def __init__(
        self, fragment: Fragment, *, skip: int, skip_digest: bytes, is_still_gzip: bool
    ) -> None:
        self._fragment = fragment
        self._decompressor = decompressor(fragment.compression_codec, is_still_gzip=is_still_gzip)
        self._sum = hashlib.sha1(usedforsecurity=False)
        self._length = 0
        self._skip = skip
        self._skip_digest = skip_digest

    def decode(self, data: memoryview) -> tuple[bytes, bytes, memoryview]:
        """Take a prefix of the file's next bytes.

        Returns:
            Its content, the SHA-1 of all content up to there, and what was not taken.
        """
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
        content = self._skipped(content) if self._length < self._skip else content
        self._sum.update(content)
        self._length += len(content)
        if self._length > self._fragment.length:
            raise self._corrupt("the file goes on")
        return content, self._sum.digest(), data

    def finish(self) -> None:
        """Compare the whole content with what the fragment promises (D1)."""
        try:
            self._decompressor.finish()
        except CodecError as exc:
            raise self._corrupt(exc.reason) from exc
        if self._length != self._fragment.length or self._sum.digest() != self._fragment.sum:
            raise self._corrupt("")

    def _skipped(self, content: bytes) -> bytes:
        """Return the content without what was handed out already, which is compared (D3)."""
        front = content[: self._skip - self._length]
        self._sum.update(front)
        self._length += len(front)
        if self._length == self._skip and self._sum.digest() != self._skip_digest:
            raise self._corrupt("it differs from what was read of the file before")
        return content[len(front) :]

    def _corrupt(self, reason: str) -> CorruptFragmentError:
        found = f"{self._length} bytes with SHA-1 {self._sum.hexdigest()}"
        fragment = self._fragment
        return CorruptFragmentError(
            fragment.journal,
            f"{fragment.backing_store.partition('?')[0]}{content_path(fragment)}",
            f"{fragment.length} bytes with SHA-1 {fragment.sum.hex()}",
            f"{found} ({reason})" if reason else found,
        )
