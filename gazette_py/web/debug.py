"""Diagnostics of a broker.

    /debug/ready     200 once the broker serves, with what it waits for while it drains; else 503
                     and why
    /debug/live      200 while the event loop runs
    /debug/metrics   Prometheus text
    /debug/story     with ?journal=NAME: the last steps of its state machines here

The last is for loopback clients only.
"""

import asyncio
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gazette_py.telemetry.metrics import CONTENT_TYPE, Metrics

_LOOPBACK = ("127.0.0.1", "::1")


def debug_app(
    metrics: Metrics,
    why_unready: Callable[[], str],
    why_waiting: Callable[[], str],
    story: Callable[[str], list[str] | None],
    *,
    is_public: bool,
) -> Starlette:
    """Return the application.

    Args:
        metrics: To expose.
        why_unready: Returns why the broker does not serve, "" if it does.
        why_waiting: Returns why it has not left though it was asked to, "" if it was not.
        story: Returns the last steps of a journal, None if it is not served here.
        is_public: Answer only whether the broker lives and serves.
    """

    async def ready(_: Request) -> Response:
        reason = why_unready()
        if reason:
            return PlainTextResponse(f"{reason}\n", 503)
        waiting = why_waiting()
        return PlainTextResponse(f"ready, draining: {waiting}\n" if waiting else "ready\n")

    async def live(_: Request) -> Response:
        return PlainTextResponse("live\n")

    async def expose(_: Request) -> Response:
        text = await asyncio.get_running_loop().run_in_executor(None, metrics.expose)
        return Response(text, media_type=CONTENT_TYPE)

    async def tell(request: Request) -> Response:
        if request.client is None or request.client.host not in _LOOPBACK:
            return PlainTextResponse("only from this machine\n", 403)
        journal = request.query_params.get("journal", "")
        steps = story(journal)
        if steps is None:
            return PlainTextResponse(f"journal {journal!r} has no replica here\n", 404)
        return PlainTextResponse("".join(f"{step}\n" for step in steps))

    routes = [Route("/debug/ready", ready), Route("/debug/live", live)]
    if not is_public:
        routes += [Route("/debug/metrics", expose), Route("/debug/story", tell)]
    return Starlette(routes=routes)
