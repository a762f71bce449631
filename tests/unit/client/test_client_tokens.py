"""What each call of the client bears, as a server sees it over a real connection."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import jwt
import pytest

from gazette_py import errors
from gazette_py.client import Change, Client, connect
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb.protocol_pb2_grpc import JournalServicer, add_JournalServicer_to_server
from gazette_py.protocol.selector_text import parse_selector

JOURNAL = "acme/orders"
KEY = b"a-secret-of-more-than-32-bytes-for-hs256"


class Doorkeeper(JournalServicer):
    """Notes what each call bears, and lets none in."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    async def _refuse(self, name: str, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        self.seen.append((name, metadata.get("authorization", "")))
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")

    async def List(self, request: Any, context: Any) -> AsyncIterator[pb.ListResponse]:  # type: ignore[override]  # noqa: N802
        await self._refuse("List", context)
        yield pb.ListResponse()

    async def Read(self, request: Any, context: Any) -> AsyncIterator[pb.ReadResponse]:  # type: ignore[override]  # noqa: N802
        await self._refuse("Read", context)
        yield pb.ReadResponse()

    async def Append(self, request_iterator: Any, context: Any) -> pb.AppendResponse:  # type: ignore[override]  # noqa: N802
        async for _ in request_iterator:
            pass  # Or the end of the call may meet a message on its way: gRPC then hides the cause.
        await self._refuse("Append", context)
        return pb.AppendResponse()

    async def Apply(self, request: Any, context: Any) -> pb.ApplyResponse:  # type: ignore[override]  # noqa: N802
        await self._refuse("Apply", context)
        return pb.ApplyResponse()

    async def ListFragments(self, request: Any, context: Any) -> pb.FragmentsResponse:  # type: ignore[override]  # noqa: N802
        await self._refuse("ListFragments", context)
        return pb.FragmentsResponse()

    async def FragmentStoreHealth(  # type: ignore[override]  # noqa: N802
        self, request: Any, context: Any
    ) -> pb.FragmentStoreHealthResponse:
        await self._refuse("FragmentStoreHealth", context)
        return pb.FragmentStoreHealthResponse()


async def call_each(client: Client) -> None:
    async def fragments() -> None:
        async for _ in client.fragments(JOURNAL):
            pass

    async def watch() -> None:
        async for _ in client.watch(parse_selector("env=prod")):
            pass

    for call in (
        lambda: client.list(parse_selector("env=prod")),
        watch,
        lambda: client.apply([Change(delete=JOURNAL, expect_mod_revision=1)]),
        lambda: client.append(JOURNAL, b"hello"),
        lambda: client.read_all(JOURNAL, 0, 5),
        fragments,
        lambda: client.store_health("s3://bucket/"),
    ):
        with pytest.raises(errors.RpcUnauthenticatedError):
            await call()


@pytest.fixture
async def door() -> AsyncIterator[tuple[Doorkeeper, str]]:
    server = grpc.aio.server()
    keeper = Doorkeeper()
    add_JournalServicer_to_server(keeper, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield keeper, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(0)


NAMES = ["List", "List", "Apply", "Append", "Read", "ListFragments", "FragmentStoreHealth"]


async def test_each_call_bears_a_token_for_just_what_it_does(door: tuple[Doorkeeper, str]) -> None:
    keeper, address = door
    async with connect(address, auth_keys=f"{base64.b64encode(KEY).decode()} b3RoZXI=") as client:
        await call_each(client)
    assert [name for name, _ in keeper.seen] == NAMES
    claims = [jwt.decode(b.removeprefix("Bearer "), KEY, ["HS256"]) for _, b in keeper.seen]
    by_env = [{"name": "env", "value": "prod"}]
    by_name = [{"name": "name", "value": JOURNAL}]
    assert [(c["cap"], c["sel"]["include"]["labels"], c["exp"] - c["iat"]) for c in claims] == [
        (2, by_env, 3600),
        (2, by_env, 3600),
        (4, None, 60),
        (16, by_name, 3600),
        (8, by_name, 3600),
        (8, by_name, 3600),
        (8, None, 3600),
    ]


async def test_a_given_token_is_borne_as_it_is(door: tuple[Doorkeeper, str]) -> None:
    keeper, address = door
    async with connect(address, auth_token="abc.def.ghi") as client:
        await call_each(client)
    assert keeper.seen == [(name, "Bearer abc.def.ghi") for name in NAMES]


async def test_without_keys_calls_bear_nothing(door: tuple[Doorkeeper, str]) -> None:
    keeper, address = door
    async with connect(address) as client:
        await call_each(client)
    assert keeper.seen == [(name, "") for name in NAMES]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"auth_keys": "no-base64"}, "auth_keys: key 1 is not padded base64"),
        ({"auth_token": "a\nb"}, "auth_token: holds characters which no token has"),
        (
            {"auth_keys": "c2VjcmV0", "auth_token": "abc"},
            "auth_token: is given together with auth_keys; give one",
        ),
    ],
)
def test_what_cannot_be_borne_is_refused(options: dict[str, str], error: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        connect("http://127.0.0.1:1", **options)  # type: ignore[arg-type]  # As given.
    assert str(caught.value) == error
