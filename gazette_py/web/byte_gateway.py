"""The byte gateway: GET and HEAD read a journal, PUT and POST append to it.

The first response of the broker decides the status; then content is passed on as it comes, and a
trailer tells why it ended. Each of these ends is an expected one: the reader goes on elsewhere, or
from the offset where it is.

Invariants:
    BG1  A body is appended whole, or nothing of it; it was received before the append begins.
    BG2  A read ends, and gives up its call, as soon as its client has gone.
    BG3  Events end with a status other than 200 only if coming back would be of no use: a browser
         which gets another one never does.

Source: gazette/core broker/http_gateway.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from gazette_py.clock import Clock
from gazette_py.errors import (
    AppendOutcomeUnknownError,
    RpcError,
    RpcUnauthenticatedError,
    RpcUnavailableError,
)
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol.claims import Capability
from gazette_py.web import byte_responses as responses_of
from gazette_py.web.bodies import receive_body
from gazette_py.web.byte_requests import EVENT_STREAM, ReadAsked, parse_append, parse_read
from gazette_py.web.byte_responses import CLOSE_ERROR, GAZETTE_STATUS, Here
from gazette_py.web.calls import JournalCalls
from gazette_py.web.codes import http_status_of
from gazette_py.web.connections import TRAILERS, until, while_connected
from gazette_py.web.events import KEEP_ALIVE, EventEncoder, is_of_lines, try_again
from gazette_py.web.refusal import RefusedError

KEEP_ALIVE_S: Final = 15.0
"""How often events say that they are alive: proxies use to wait for a minute."""

_TERMINATED: Final = "broker terminated RPC"
_JUMP: Final = "offset jump"

# A journal's label says what browsers take its content for: it is never run as a page of ours.
_SAFE: Final = {"x-content-type-options": "nosniff", "content-security-policy": "sandbox"}

_Responses = AsyncGenerator[pb.ReadResponse, None]


class ByteGateway:
    """An ASGI application.

    Args:
        calls: Of the broker.
        here: The broker.
        clock: Times what keeps connections alive.
        is_compat: Answer appends by the reference's statuses.
    """

    def __init__(self, calls: JournalCalls, here: Here, clock: Clock, *, is_compat: bool) -> None:
        self._calls = calls
        self._here = here
        self._clock = clock
        self._is_compat = is_compat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        try:
            match request.method:
                case "GET" | "HEAD":
                    await while_connected(receive, self._read(request, send))
                case "PUT" | "POST":
                    response = await self._append(request)
                    await response(scope, receive, send)
                case other:
                    raise RefusedError(400, f"unknown method: {other}")
        except ClientDisconnect:
            pass
        except RefusedError as exc:
            await _text(exc.status, exc.reason, exc.headers)(scope, receive, send)

    # Reads.

    async def _read(self, request: Request, send: Send) -> None:
        asked = parse_read(request.method, request.scope["path"], _query(request), request.headers)
        self._check(Capability.READ, asked.request.journal, request)
        serve = self._send_events if asked.as_events else self._send_bytes
        await serve(request, asked, send)

    def _check(self, capability: Capability, journal: str, request: Request) -> None:
        """Refuse who may not, before anything is done."""
        try:
            self._calls.check(capability, journal, _token(request))
        except RpcUnauthenticatedError as exc:
            headers = responses_of.refusal_headers(exc)
            raise RefusedError(http_status_of(exc.code), exc.detail, headers) from exc

    async def _send_bytes(self, request: Request, asked: ReadAsked, send: Send) -> None:
        has_trailers = TRAILERS in request.scope.get("extensions", {})
        async with aclosing(self._calls.read(asked.request, _token(request))) as responses:
            first = await self._first(responses)
            headers = self._head(request, first)
            self._raise_for_read(first, headers)
            end = 0
            if asked.is_range:
                end = _range_end(asked.request, first)
                headers["content-range"] = f"bytes {first.offset}-{end - 1}/*"
            content_type = self._calls.content_type(asked.request.journal)
            headers["content-type"] = responses_of.safe_content_type(content_type)
            if has_trailers:
                headers["trailer"] = "X-Close-Error"
            await _start(send, 206, headers | _SAFE, trailers=has_trailers)
            why = ""
            if request.method == "GET":
                why = await _copy(first.offset, end, responses, send)
        # The call has ended: once the response has, nothing is left to do.
        await _body(send, b"", more=False)
        if has_trailers:
            told = [(CLOSE_ERROR.encode(), why.encode())] if why else []
            await send({"type": TRAILERS, "headers": told})

    async def _first(self, responses: _Responses) -> pb.ReadResponse:
        """Return the first response.

        Raises:
            RefusedError: There is none.
        """
        try:
            first = await anext(responses, None)
            if first is None:
                raise _moved()
        except RpcError as exc:
            is_refused = isinstance(exc, RpcUnauthenticatedError)
            status = http_status_of(exc.code) if is_refused else 500
            raise RefusedError(status, exc.detail, responses_of.refusal_headers(exc)) from exc
        return first

    def _head(self, request: Request, first: pb.ReadResponse) -> dict[str, str]:
        return responses_of.read_headers(first, request.scope["path"], self._here)

    def _raise_for_read(self, first: pb.ReadResponse, headers: dict[str, str]) -> None:
        """Refuse what has no content."""
        if first.status != pb.OK:
            name = responses_of.status_name(first.status)
            raise RefusedError(
                responses_of.read_status(first.status),
                responses_of.status_text(first.status),
                headers | {GAZETTE_STATUS: name},
            )

    # Events.

    async def _send_events(self, request: Request, asked: ReadAsked, send: Send) -> None:
        try:
            first = await self._probe(request, asked.request)
        except RpcError as exc:
            if not exc.retryable:
                raise RefusedError(
                    http_status_of(exc.code),
                    exc.detail,
                    responses_of.refusal_headers(exc),
                ) from exc
            await _send_try_again(send, exc.detail)
            return
        headers = self._head(request, first)
        if responses_of.is_passing(first.status):
            await _send_try_again(send, responses_of.status_text(first.status))
            return
        if first.status != pb.OFFSET_NOT_YET_AVAILABLE:
            self._raise_for_read(first, headers)
        headers.pop("content-range", None)
        await _start(send, 200, headers | _EVENT_HEADERS)
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._beat(send), name="keep events alive")
            await self._copy_events(request, asked.request, first, send)
            beating.cancel()
        await _body(send, b"", more=False)

    async def _probe(self, request: Request, wanted: pb.ReadRequest) -> pb.ReadResponse:
        """Ask where the read will begin, so that events can begin before there is content."""
        asked = pb.ReadRequest()
        asked.CopyFrom(wanted)
        asked.block, asked.metadata_only = False, True
        async with aclosing(self._calls.read(asked, _token(request))) as responses:
            first = await anext(responses, None)
        if first is None:
            raise _moved()
        return first

    async def _copy_events(
        self, request: Request, wanted: pb.ReadRequest, first: pb.ReadResponse, send: Send
    ) -> None:
        begin = wanted.offset if wanted.offset >= 0 else first.offset
        of_lines = is_of_lines(self._calls.content_type(wanted.journal))
        encoder = EventEncoder(begin, of_lines=of_lines)
        await _body(send, encoder.begin())
        asked = pb.ReadRequest()
        asked.CopyFrom(wanted)
        asked.offset = offset = begin
        try:
            async with aclosing(self._calls.read(asked, _token(request))) as responses:
                async for response in responses:
                    if response.status != pb.OK:
                        return
                    if response.offset > offset:
                        await _body(send, encoder.jump(response.offset))
                        offset = response.offset
                    if response.content:
                        offset += len(response.content)
                        await _body(send, encoder.content(response.content))
        except RpcError as exc:
            await _body(send, try_again(exc.detail))

    async def _beat(self, send: Send) -> None:
        while True:
            await self._clock.sleep(KEEP_ALIVE_S)
            await _body(send, KEEP_ALIVE)

    # Appends.

    async def _append(self, request: Request) -> Response:
        path, token = request.scope["path"], _token(request)
        first = parse_append(path, _query(request), request.headers)
        self._check(Capability.APPEND, first.journal, request)
        try:
            body = await until(
                self._calls.wait_stopping(),
                receive_body(request.receive, lambda: self._calls.open_body(first.journal)),
            )
            if body is None:
                raise RpcUnavailableError(
                    "broker",
                    "UNAVAILABLE",
                    "this broker is stopping, and nothing was appended: try another one",
                )
            appending = self._calls.append(first, body.pieces(), token)
            response = await while_connected(request.receive, appending)
        except AppendOutcomeUnknownError as exc:
            raise RefusedError(
                500,
                f"{exc.detail}\nIt may be in the journal, or not: compare the write head with what"
                " it was before you send it again, or give X-Append-Offset",
                {GAZETTE_STATUS: "OUTCOME_UNKNOWN"},
            ) from exc
        except RpcError as exc:
            is_plain = self._is_compat and not isinstance(exc, RpcUnauthenticatedError)
            status = 500 if is_plain else http_status_of(exc.code)
            raise RefusedError(status, exc.detail, responses_of.refusal_headers(exc)) from exc
        if response is None:
            raise ClientDisconnect
        headers = responses_of.append_headers(response, path, self._here)
        status = responses_of.append_status(response.status, is_compat=self._is_compat)
        if response.status == pb.OK:
            return Response(status_code=status, headers=headers)
        headers[GAZETTE_STATUS] = responses_of.status_name(response.status)
        return _text(status, responses_of.append_text(response), headers)


_EVENT_HEADERS: Final = {
    "content-type": EVENT_STREAM,
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # A common proxy would hold events back.
}


async def _copy(offset: int, end: int, responses: _Responses, send: Send) -> str:
    """Pass content on from an offset up to an end, if it is not 0; return why it ended."""
    try:
        async for response in responses:
            if response.status != pb.OK:
                return responses_of.status_name(response.status)
            if response.offset > offset:
                return _JUMP
            content = response.content[: end - offset] if end else response.content
            if content:
                await _body(send, content)
                offset += len(content)
            if end and offset >= end:
                return ""
    except RpcError as exc:
        return responses_of.header_text(exc.detail)
    return _TERMINATED


def _range_end(request: pb.ReadRequest, first: pb.ReadResponse) -> int:
    """Return where a range ends, which may be asked for beyond the write head.

    Raises:
        RefusedError: All of it is gone.
    """
    end = min(request.end_offset or first.write_head, first.write_head)
    if first.offset >= end:
        raise RefusedError(
            416,
            f"bytes {request.offset}-{end - 1} are gone: content begins at {first.offset}",
            {"x-write-head": str(first.write_head)},
        )
    return end


def _moved() -> RpcUnavailableError:
    return RpcUnavailableError(
        "broker", "UNAVAILABLE", "the journal is moving to other brokers: try again"
    )


def _token(request: Request) -> str:
    return request.headers.get("authorization", "")


def _query(request: Request) -> str:
    raw: bytes = request.scope["query_string"]
    return raw.decode("latin-1")


def _text(status: int, text: str, headers: dict[str, str]) -> Response:
    return PlainTextResponse(f"{text}\n", status, headers | {"x-content-type-options": "nosniff"})


async def _send_try_again(send: Send, reason: str) -> None:
    """Answer events which may be had later (BG3)."""
    await _start(send, 200, _EVENT_HEADERS)
    await _body(send, try_again(reason), more=False)


async def _start(
    send: Send, status: int, headers: dict[str, str], *, trailers: bool = False
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (name.encode(), value.encode("latin-1", "replace"))
                for name, value in headers.items()
            ],
            "trailers": trailers,
        }
    )


async def _body(send: Send, content: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": more})
