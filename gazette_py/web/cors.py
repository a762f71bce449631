"""Which pages of other origins may use the gateways.

Every OPTIONS request is answered 200, and origins which were allowed find their headers. An append
is refused that a page of any other origin sends: browsers send a plain POST without asking first,
and only keep the answer from the page.

Source: gazette/core mainboilerplate/service.go. We allow what our gateways have beyond the
reference's.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALLOWED: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, POST, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Cache-Control, Content-Language, Content-Length, Content-Type, Expires, Last-Modified,"
        " Pragma, Authorization, Range, Last-Event-ID, X-Append-Offset, X-Check-Registers,"
        " X-Union-Registers"
    ),
    "Access-Control-Expose-Headers": (
        "Content-Range, Location, X-Close-Error, X-Commit-Begin, X-Commit-End, X-Commit-SHA1-Sum,"
        " X-Fragment-Last-Modified, X-Fragment-Location, X-Fragment-Name, X-Gazette-Status,"
        " X-Route-Token, X-Write-Head"
    ),
}
_WRITING: Final = ("PUT", "POST")


def is_foreign(origin: str, host: str) -> bool:
    """Tell whether a page's origin is another than that of the host which it asks."""
    return bool(origin) and urlsplit(origin).netloc != host


class Cors:
    """An ASGI application before another one.

    Args:
        app: The other.
        origins: Which are allowed, as browsers send them: http://host:port.
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        is_allowed = origin in self._origins

        async def send_message(message: Message) -> None:
            if is_allowed and message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                sent.update({"Access-Control-Allow-Origin": origin, **_ALLOWED})
                sent.add_vary_header("Origin")
            await send(message)

        app = self._app
        if scope["method"] == "OPTIONS":
            app = Response()
        elif (
            scope["method"] in _WRITING
            and not is_allowed
            and is_foreign(origin, headers.get("host", ""))
        ):
            app = PlainTextResponse(
                f"pages of {origin} may not write here: start the broker with"
                f" --broker.allow-origin={origin}\n",
                403,
            )
        await app(scope, receive, send_message)
