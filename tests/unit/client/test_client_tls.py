"""Clients of a broker behind TLS: certificates of a CA of the test, and each way to get it wrong.

Our brokers serve no TLS yet, so what ends it stands before one, as a balancer would. Brokers of
the reference, which end it themselves, are in tests/compat/test_brokers_with_tls.py.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from certificates import Authority

from gazette_py.client import Change, connect
from gazette_py.client.sync import connect as connect_sync
from gazette_py.errors import ConfigError, RpcTlsError, RpcUnavailableError
from gazette_py.rpc.channel import dial
from gazette_py.testing import InProcessCluster

JOURNAL = "secret/journal"


@pytest.fixture(scope="module")
def cluster() -> Iterator[InProcessCluster]:
    with InProcessCluster() as started:
        started.create(JOURNAL)
        yield started


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


class Forward(grpc.GenericRpcHandler):  # type: ignore[misc]  # gRPC's own is untyped.
    """Hands each call on to a broker, message by message, as it is."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        call = self._channel.stream_stream(details.method)

        async def forward(messages: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
            async for answer in call(messages):
                yield answer

        return grpc.stream_stream_rpc_method_handler(forward)


@asynccontextmanager
async def behind_tls(
    cluster: InProcessCluster, cert: tuple[Path, Path], client_ca: Authority | None = None
) -> AsyncIterator[int]:
    """Provide a port at which TLS is spoken, and calls are handed on to the broker in plaintext.

    Args:
        cluster: Of the broker.
        cert: The server's.
        client_ca: Ask clients for a certificate which it has signed.
    """
    async with dial(cluster.addresses[0]) as channel:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Forward(channel),))
        credentials = grpc.ssl_server_credentials(
            [(cert[1].read_bytes(), cert[0].read_bytes())],
            None if client_ca is None else client_ca.path.read_bytes(),
            client_ca is not None,
        )
        port = server.add_secure_port("localhost:0", credentials)
        await server.start()
        try:
            yield port
        finally:
            await server.stop(0)


async def test_all_calls_go_through_it(cluster: InProcessCluster, ca: Authority) -> None:
    async with (
        behind_tls(cluster, ca.issue("good", "localhost")) as port,
        # Without a cache of routes, which would have us call the broker itself.
        connect(f"https://localhost:{port}", trusted_ca_file=str(ca.path), cache_size=0) as client,
    ):
        done = await client.append(JOURNAL, b"tea")
        assert await client.read_all(JOURNAL, done.commit.begin, done.commit.end) == b"tea"
        (listed,) = (await client.list()).journals
        assert await client.apply([Change(expect_mod_revision=-1, upsert=listed.spec)]) > 0


async def test_addresses_are_verified_like_names(cluster: InProcessCluster, ca: Authority) -> None:
    async with (
        behind_tls(cluster, ca.issue("address", "127.0.0.1")) as port,
        connect(f"https://127.0.0.1:{port}", trusted_ca_file=str(ca.path)) as client,
    ):
        await client.append(JOURNAL, b"tea")


@pytest.mark.parametrize("operation", ["append", "read", "list", "watch", "apply"])
async def test_an_unknown_ca_is_told_at_once_by_each_call(
    cluster: InProcessCluster, ca: Authority, tmp_path: Path, operation: str
) -> None:
    other = Authority(tmp_path, "other")
    async with (
        asyncio.timeout(60),
        behind_tls(cluster, ca.issue("unknown", "127.0.0.1")) as port,
        connect(f"https://127.0.0.1:{port}", trusted_ca_file=str(other.path)) as client,
    ):
        calls = {
            "append": lambda: client.append(JOURNAL, b"tea"),
            "read": lambda: client.read_all(JOURNAL, 0, 1),
            "list": client.list,
            "watch": lambda: anext(client.watch()),
            "apply": lambda: client.apply([Change(expect_mod_revision=1, delete=JOURNAL)]),
        }
        with pytest.raises(RpcTlsError, match="give the brokers' CA as trusted_ca_file") as caught:
            await calls[operation]()
    assert not caught.value.retryable
    assert caught.value.peer == f"https://127.0.0.1:{port}"


async def test_the_usual_authorities_are_trusted_only_without_one(
    cluster: InProcessCluster, ca: Authority
) -> None:
    async with (
        asyncio.timeout(60),
        behind_tls(cluster, ca.issue("usual", "127.0.0.1")) as port,
        connect(f"https://127.0.0.1:{port}") as client,
    ):
        with pytest.raises(RpcTlsError, match="trusted_ca_file"):
            await client.append(JOURNAL, b"tea")


async def test_a_certificate_of_another_host(cluster: InProcessCluster, ca: Authority) -> None:
    async with (
        asyncio.timeout(60),
        behind_tls(cluster, ca.issue("elsewhere", "elsewhere.test")) as port,
        connect(f"https://127.0.0.1:{port}", trusted_ca_file=str(ca.path)) as client,
    ):
        with pytest.raises(RpcTlsError, match=r"is not for this host.*subject alternative names"):
            await client.append(JOURNAL, b"tea")


async def test_an_expired_certificate(cluster: InProcessCluster, ca: Authority) -> None:
    async with (
        asyncio.timeout(60),
        behind_tls(cluster, ca.issue("expired", "127.0.0.1", days=-1)) as port,
        connect(f"https://127.0.0.1:{port}", trusted_ca_file=str(ca.path)) as client,
    ):
        with pytest.raises(RpcTlsError, match="has expired: an operator renews it"):
            await client.append(JOURNAL, b"tea")


async def test_tls_to_a_broker_which_speaks_plaintext(
    cluster: InProcessCluster, ca: Authority
) -> None:
    address = cluster.addresses[0].replace("http://", "https://")
    async with asyncio.timeout(60), connect(address, trusted_ca_file=str(ca.path)) as client:
        with pytest.raises(RpcTlsError, match="does not speak TLS: its endpoint begins with http:"):
            await client.append(JOURNAL, b"tea")


async def test_plaintext_to_a_port_of_tls(cluster: InProcessCluster, ca: Authority) -> None:
    """It looks like a broker which is about to end, so it is tried again for as long as allowed."""
    async with (
        asyncio.timeout(60),
        behind_tls(cluster, ca.issue("plain", "127.0.0.1")) as port,
        connect(f"http://127.0.0.1:{port}", timeout_s=3) as client,
    ):
        with pytest.raises(RpcUnavailableError, match="if it speaks TLS, its endpoint begins with"):
            await client.append(JOURNAL, b"tea")


async def test_clients_with_a_certificate_are_let_in(
    cluster: InProcessCluster, ca: Authority, tmp_path: Path
) -> None:
    clients = Authority(tmp_path, "clients")
    cert, key = clients.issue("me")
    async with (
        asyncio.timeout(60),
        behind_tls(cluster, ca.issue("mutual", "127.0.0.1"), clients) as port,
    ):
        address = f"https://127.0.0.1:{port}"
        async with connect(
            address, trusted_ca_file=str(ca.path), cert_file=str(cert), cert_key_file=str(key)
        ) as client:
            await client.append(JOURNAL, b"tea")
        async with connect(address, trusted_ca_file=str(ca.path), timeout_s=3) as client:
            with pytest.raises(RpcUnavailableError, match="give cert_file and cert_key_file"):
                await client.append(JOURNAL, b"tea")
        cert, key = Authority(tmp_path, "others").issue("stranger")
        async with connect(
            address,
            trusted_ca_file=str(ca.path),
            cert_file=str(cert),
            cert_key_file=str(key),
            timeout_s=3,
        ) as client:
            with pytest.raises(RpcUnavailableError, match="signed by its"):
                await client.append(JOURNAL, b"tea")


class TestFiles:
    def test_what_is_not_there(self) -> None:
        with pytest.raises(ConfigError, match="trusted_ca_file: cannot read /none: No such file"):
            connect("https://localhost", trusted_ca_file="/none")

    def test_what_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "junk").write_text("junk")
        with pytest.raises(ConfigError, match=r"trusted_ca_file: .*junk is no such PEM file"):
            connect("https://localhost", trusted_ca_file=str(tmp_path / "junk"))

    def test_a_key_of_another_certificate(self, ca: Authority) -> None:
        cert, _ = ca.issue("one")
        _, key = ca.issue("two")
        with pytest.raises(ConfigError, match="KEY_VALUES_MISMATCH"):
            connect("https://localhost", cert_file=str(cert), cert_key_file=str(key))

    def test_a_certificate_without_its_key(self, ca: Authority) -> None:
        cert, _ = ca.issue("alone")
        with pytest.raises(ConfigError, match=r"cert_key_file: .* together"):
            connect_sync("https://localhost", cert_file=str(cert))
