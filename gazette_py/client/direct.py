"""Content of one stored fragment, decoded and verified on the way.

Invariants:
    D1  A file is read from its first byte, wherever the caller wants to begin, so its whole content
        is compared with the fragment's length and SHA-1.
    D2  The last piece is handed out only after the comparison: who was given a whole fragment holds
        what its writer summed.
    D3  That also holds where a stream broke, and another one was read from where it did: the second
        must begin with the same bytes as were handed out of the first. And it holds where the rest
        came from a broker: the sum goes on over that.

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
        self._sum = _new_sum()  # and its SHA-1.

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
            skip_digest=self._sum.digest(),
            is_still_gzip=stream.content_encoding == "gzip",
        )
        loop = asyncio.get_running_loop()
        held, held_sum = b"", self._sum
        async with aclosing(stream.chunks):
            async for chunk in stream.chunks:
                rest = memoryview(chunk)
                while rest:
                    piece, piece_sum, rest = await loop.run_in_executor(
                        self._executor, decoding.decode, rest
                    )
                    if held and piece:
                        self._hand_out(held, held_sum)
                        yield held
                    if piece:
                        held, held_sum = piece, piece_sum
        decoding.finish()
        if held:
            self._hand_out(held, held_sum)
            yield held

    def continuation(self) -> "Continuation":
        """Return what compares the fragment if its rest comes from elsewhere."""
        return Continuation(self._fragment, self._length, self._sum)

    def _hand_out(self, piece: bytes, piece_sum: "hashlib._Hash") -> None:
        self._length += len(piece)
        self._sum = piece_sum


class Continuation:
    """Compares a fragment of which the beginning was handed out unconfirmed (D3)."""

    def __init__(self, fragment: Fragment, length: int, sum_so_far: "hashlib._Hash") -> None:
        self._fragment = fragment
        self._length = length
        self._sum = sum_so_far.copy()

    def take(self, begin: int, content: memoryview) -> bool:
        """Take what is about to be handed out at an offset, and tell whether more is awaited.

        Raises:
            CorruptFragmentError: The content completes the fragment, which differs from its name.
        """
        fragment = self._fragment
        if begin != fragment.begin + self._length:
            return False  # Nothing of the file was handed out, or the rest of it was jumped over.
        rest = content[: fragment.length - self._length]
        self._sum.update(rest)
        self._length += len(rest)
        if self._length < fragment.length:
            return True
        if self._sum.digest() != fragment.sum:
            raise _corrupt(fragment, self._length, self._sum, "its rest was read by a broker")
        return False


class _Decoding:
    """Decodes a file and sums its content. Used by one thread at a time."""

    def __init__(
        self, fragment: Fragment, *, skip: int, skip_digest: bytes, is_still_gzip: bool
    ) -> None:
        self._fragment = fragment
        self._decompressor = decompressor(fragment.compression_codec, is_still_gzip=is_still_gzip)
        self._sum = _new_sum()
        self._length = 0
        self._skip = skip
        self._skip_digest = skip_digest

    def decode(self, data: memoryview) -> "tuple[bytes, hashlib._Hash, memoryview]":
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
        return content, self._sum.copy(), data

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
        return _corrupt(self._fragment, self._length, self._sum, reason)


def _new_sum() -> "hashlib._Hash":
    return hashlib.sha1(usedforsecurity=False)


def _corrupt(
    fragment: Fragment, length: int, found_sum: "hashlib._Hash", reason: str
) -> CorruptFragmentError:
    found = f"{length} bytes with SHA-1 {found_sum.hexdigest()}"
    return CorruptFragmentError(
        fragment.journal,
        f"{fragment.backing_store.partition('?')[0]}{content_path(fragment)}",
        f"{fragment.length} bytes with SHA-1 {fragment.sum.hex()}",
        f"{found} ({reason})" if reason else found,
    )
