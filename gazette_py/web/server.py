"""A broker's HTTP server: which path goes to which application, and how it is served."""

import asyncio
import posixpath
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

import uvicorn
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gazette_py.errors import ConfigError
from gazette_py.web.connections import TrailerProtocol

_SAFE_IN_PATHS: Final = "/=;%+._-~!*'()@:,$&"


def listen_http(host: str, port: int, option: str) -> socket.socket:
    """Bind a port (0: a free one).

    Raises:
        ConfigError: It is in use, or may not be bound. It names `option`.
    """
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as exc:
        raise ConfigError(option, f"cannot listen at {host}:{port}: {exc.strerror}") from exc


def clean_path(path: str) -> str:
    """Return a path without empty, `.` and `..` segments; a slash at its end stays."""
    cleaned = "/" + posixpath.normpath(path).lstrip("/")
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def routed(debug: ASGIApp, json: ASGIApp, journals: ASGIApp) -> ASGIApp:
    """Return the application of a broker's port, where journals have what is of no other."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        cleaned = "/v1/" if path == "/v1" else clean_path(path)
        if cleaned != path:
            query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
            url = quote(cleaned, safe=_SAFE_IN_PATHS) + query
            await RedirectResponse(url, 307)(scope, receive, send)
        elif path.startswith("/debug/"):
            await debug(scope, receive, send)
        elif path.startswith("/v1/"):
            await json(scope, receive, send)
        else:
            await journals(scope, receive, send)

    return route


class _Server(uvicorn.Server):
    """Leaves signals to the broker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_http(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until cancelled; then open connections are dropped."""
    config = uvicorn.Config(
        app,
        http=TrailerProtocol,
        ws="none",
        log_config=None,
        server_header=False,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
