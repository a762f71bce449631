"""Bodies of requests: whole, in bounded memory, or not at all."""

import asyncio
import errno
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from gazette_py.web import bodies
from gazette_py.web.bodies import MEMORY_BYTES_MAX, Body, receive_body
from gazette_py.web.refusal import RefusedError


class File:
    """A file in memory, which may have no room."""

    def __init__(self, room: int = 1 << 30, error: int = errno.ENOSPC) -> None:
        self.content = bytearray()
        self._room = room
        self._error = error

    def write(self, position: int, content: bytes | memoryview) -> None:
        if position + len(content) > self._room:
            raise OSError(self._error, "no room")
        self.content[position:] = content

    def read(self, position: int, length: int) -> bytes:
        return bytes(self.content[position : position + length])


def messages(*pieces: bytes, is_whole: bool = True) -> Any:
    told = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    told.append({"type": "http.request" if is_whole else "http.disconnect"})
    waiting = iter(told)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    return receive


async def content_of(body: Body) -> bytes:
    pieces = [piece async for piece in body.pieces()]
    assert all(pieces)
    return b"".join(pieces)


async def test_a_small_body_needs_no_file() -> None:
    body = await receive_body(messages(b"he", b"", b"llo"), lambda: pytest.fail("a file"))
    assert (body.length, await content_of(body)) == (5, b"hello")


async def test_an_empty_body_has_no_pieces() -> None:
    body = await receive_body(messages(), lambda: pytest.fail("a file"))
    assert [piece async for piece in body.pieces()] == []


async def test_a_large_body_goes_to_a_file() -> None:
    pieces = [bytes([n]) * (MEMORY_BYTES_MAX // 2 + n) for n in range(5)]
    file = File()
    body = await receive_body(messages(*pieces), lambda: file)
    assert await content_of(body) == b"".join(pieces) == file.content


@pytest.mark.parametrize(("error", "status"), [(errno.ENOSPC, 507), (errno.EIO, 500)])
async def test_a_body_for_which_there_is_no_room_is_refused(error: int, status: int) -> None:
    with pytest.raises(RefusedError, match="no room; nothing was appended") as refused:
        await receive_body(messages(bytes(MEMORY_BYTES_MAX + 1)), lambda: File(9, error))
    assert refused.value.status == status


async def test_a_body_which_is_not_whole_is_not_handed_out() -> None:
    with pytest.raises(ClientDisconnect):
        await receive_body(messages(b"hel", is_whole=False), File)


async def test_a_client_which_sends_nothing_is_given_up() -> None:
    async def receive() -> Any:
        await asyncio.Event().wait()

    with pytest.raises(RefusedError, match="nothing of the body came") as refused:
        await receive_body(receive, File, idle_s_max=0.01)
    assert refused.value.status == 408
    assert bodies.IDLE_S_MAX >= 30
