"""The JSON gateway: calls of the protocol as POST requests, in the JSON of protobuf.

    POST /v1/journals/list    ListRequest, ListResponses
    POST /v1/journals/read    ReadRequest, ReadResponses

Responses come as lines `{"result": ...}`. An error before the first of them decides the status of
HTTP, a later one is a line `{"error": ...}`. Statuses of the protocol are no errors.

Source: gazette/core broker/protocol/protocol_gateway.yaml, as grpc-gateway serves it.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from google.protobuf.message import Message
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gazette_py.errors import RpcError
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.web import proto_json
from gazette_py.web.byte_responses import refusal_headers
from gazette_py.web.calls import JournalCalls
from gazette_py.web.codes import http_status_of, number_of
from gazette_py.web.connections import while_connected
from gazette_py.web.refusal import RefusedError

BODY_BYTES_MAX: Final = 1 << 20
"""Of a request. A selector is some hundred bytes."""

_Open: TypeAlias = Callable[[Any, str], AsyncGenerator[Any, None]]

_HEADERS: Final = {"content-type": "application/json", "x-content-type-options": "nosniff"}


class JsonGateway:
    """An ASGI application, for paths below /v1/."""

    def __init__(self, calls: JournalCalls) -> None:
        self._methods: dict[str, tuple[type[Message], _Open]] = {
            "/v1/journals/list": (pb.ListRequest, calls.list),
            "/v1/journals/read": (pb.ReadRequest, calls.read),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        method = self._methods.get(scope["path"])
        if method is None or request.method != "POST":
            await _plain(501, 12, "Not Implemented")(scope, receive, send)
            return
        kind, open_call = method
        try:
            message = proto_json.parse(await _body_of(request), kind())
        except ClientDisconnect:
            return
        except RefusedError as exc:
            await _plain(exc.status, 3, exc.reason)(scope, receive, send)
            return
        token = request.headers.get("authorization", "")
        await while_connected(receive, _stream(open_call(message, token), send))


async def _body_of(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise RefusedError(413, f"the body is over {BODY_BYTES_MAX} bytes: no request is")
    return body


async def _stream(responses: AsyncGenerator[Message, None], send: Send) -> None:
    """Send what a call answers."""
    has_begun = False
    try:
        async with aclosing(responses):
            async for response in responses:
                if not has_begun:
                    await _start(send, 200, _HEADERS)
                has_begun = True
                await _line(send, f'{{"result":{proto_json.encode(response)}}}')
        if not has_begun:
            await _start(send, 200, _HEADERS)
    except RpcError as exc:
        told = proto_json.dumps({"error": _error(exc)})
        if has_begun:
            await _line(send, told)
        else:
            await _start(send, http_status_of(exc.code), _HEADERS | refusal_headers(exc))
            await send({"type": "http.response.body", "body": told.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _error(exc: RpcError) -> dict[str, object]:
    status = http_status_of(exc.code)
    return {
        "grpcCode": number_of(exc.code),
        "httpCode": status,
        "message": exc.detail,
        "httpStatus": HTTPStatus(status).phrase,
        "details": [],
    }


def _plain(status: int, code: int, message: str) -> Response:
    told = proto_json.dumps({"code": code, "message": message, "details": []})
    return Response(told, status, _HEADERS)


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _line(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": f"{text}\n".encode(), "more_body": True})
