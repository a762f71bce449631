"""Our client against a real etcd which restarts, hangs, asks for credentials, or is not there."""

import asyncio
import datetime
import ipaddress
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from etcd_server import EtcdServer, etcd, free_ports

from gazette_py.clock import SYSTEM
from gazette_py.errors import ConfigError, EtcdError, EtcdUnavailableError
from gazette_py.etcd import client as client_module
from gazette_py.etcd.base import Event, LeaseKeeper, Put, WatchBatch
from gazette_py.etcd.client import EtcdClient, connect
from gazette_py.etcd.lease import ThreadLeaseKeeper

TIMEOUT_S = 20.0
NOBODY = "http://127.0.0.1:1"


@asynccontextmanager
async def client_of(address: str, **options: Any) -> AsyncIterator[EtcdClient]:
    client = await connect(address, **options)
    try:
        yield client
    finally:
        await client.close()


def watching(client: EtcdClient, prefix: bytes, revision: int) -> "aclosing[Any]":
    batches = client.watch_prefix(prefix, revision)
    assert isinstance(batches, AsyncGenerator)
    return aclosing(batches)


async def next_events(batches: AsyncIterator[WatchBatch]) -> tuple[Event, ...]:
    async with asyncio.timeout(TIMEOUT_S):
        while not (batch := await anext(batches)).events:
            pass
    return batch.events


async def put(client: EtcdClient, key: bytes, value: bytes = b"", lease: int = 0) -> int:
    return (await client.txn([], [Put(key, value, lease)])).header.revision


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not await check():
            await asyncio.sleep(0.05)


async def until_refreshed(keeper: LeaseKeeper, lost: "asyncio.Future[None] | None" = None) -> None:
    """Wait until the lease is, or until we hear that it was lost."""
    before = keeper.valid_until()

    async def is_refreshed() -> bool:
        return keeper.valid_until() > before or (lost is not None and lost.done())

    await until(is_refreshed)


async def test_pages_of_a_range_are_of_one_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_PAGE_KEYS", 2)
    with etcd(tmp_path) as server:
        async with client_of(server.url) as client, client_of(server.url) as other:
            written = (await client.txn([], [Put(b"/%d" % n, b"old") for n in range(5)])).header
            call_once = client._call_once

            async def call_and_be_overtaken(*arguments: Any) -> Any:
                page = await call_once(*arguments)
                await other.txn([], [Put(b"/%d" % n, b"new") for n in range(5)])
                return page

            monkeypatch.setattr(client, "_call_once", call_and_be_overtaken)
            found = await client.range_prefix(b"/")
    assert [(kv.key, kv.value) for kv in found.kvs] == [(b"/%d" % n, b"old") for n in range(5)]
    assert found.header.revision == written.revision


# Restarts.


async def test_a_revision_of_many_fragments_comes_in_one_batch(tmp_path: Path) -> None:
    """etcd cuts responses at the size of its largest request.

    So a revision becomes larger than that only if the limit was lowered after it was made.
    """
    with etcd(tmp_path, "--max-request-bytes=16777216") as server:
        async with client_of(server.url) as client:
            ops = [Put(b"/a/%03d" % n, b"%03d" % n * 20_000) for n in range(100)]
            written = (await client.txn([], ops)).header.revision
            after = await put(client, b"/a/after")
        server.stop()
        server.start("--max-request-bytes=1000000")
        async with client_of(server.url) as client:
            assert sum(len(op.value) for op in ops) > 4 << 20
            async with watching(client, b"/a/", written) as batches:
                events = await next_events(batches)
    assert [(event.kv.key, event.kv.value) for event in events[:100]] == [
        (op.key, op.value) for op in ops
    ]
    assert {event.kv.mod_revision for event in events[:100]} == {written}
    assert [event.kv.mod_revision for event in events[100:]] in ([], [after])


async def test_a_watch_goes_on_after_a_restart_without_loss_or_repetition(tmp_path: Path) -> None:
    with etcd(tmp_path) as server:
        async with client_of(server.url) as client, watching(client, b"/a", 1) as batches:
            await put(client, b"/a", b"1")
            assert [event.kv.value for event in await next_events(batches)] == [b"1"]
            await put(client, b"/a", b"2")
            server.stop()
            server.start()
            await put(client, b"/a", b"3")
            values = []
            while len(values) < 2:
                values += [event.kv.value for event in await next_events(batches)]
            assert values == [b"2", b"3"]


async def test_the_next_endpoint_is_used_when_one_fails(tmp_path: Path) -> None:
    with etcd(tmp_path) as server:
        async with client_of(f"{NOBODY}, {server.url}") as client:
            await put(client, b"/a", b"1")
            # All of these may meet an endpoint which is not there, at the same time.
            client._current = 0
            found = await asyncio.gather(*(client.range_prefix(b"/a") for _ in range(4)))
            assert [len(each.kvs) for each in found] == [1] * 4
            client._current = 0
            async with watching(client, b"/a", 1) as batches:
                assert [event.kv.value for event in await next_events(batches)] == [b"1"]
            lease = await client.grant_lease(3)
            keeper = client.keep_alive(lease, 3)
            await until_refreshed(keeper)
            await keeper.stop()


# Absence.


async def test_an_address_which_nobody_listens_at() -> None:
    with pytest.raises(EtcdUnavailableError, match=NOBODY):
        await connect(NOBODY, timeout_s=0.5)


@asynccontextmanager
async def link(url: str, delay_s: float) -> AsyncIterator[tuple[str, set[asyncio.Task[None]]]]:
    """Yield the URL of an etcd whose answers all come late, and its connections so far."""
    host, port = url.removeprefix("http://").split(":")

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float
    ) -> None:
        with closing(writer), suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(delay_s)
                writer.write(data)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(pump(reader, far_writer, 0), pump(far_reader, writer, delay_s))

    connections: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(
        lambda r, w: connections.add(asyncio.ensure_future(connected(r, w))), "127.0.0.1", 0
    )
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        server.close()
        await asyncio.wait(connections)


async def test_an_etcd_far_away_is_reached(tmp_path: Path) -> None:
    with etcd(tmp_path) as server:
        async with link(server.url, 0.7) as (url, _), client_of(url) as client:
            assert await put(client, b"/a") > 1


@pytest.mark.parametrize("address", ["127.0.0.1:2379", "ftp://a:1", "http://", "http://a:b", ""])
async def test_an_address_which_is_none(address: str) -> None:
    with pytest.raises(ConfigError, match=r"--etcd\.address"):
        await connect(address)


async def test_an_etcd_which_hangs_is_unavailable_and_its_lease_is_doubtful_until_it_wakes(
    tmp_path: Path,
) -> None:
    with etcd(tmp_path) as server:
        async with client_of(server.url, timeout_s=0.5) as client:
            lease = await client.grant_lease(3)
            keeper = client.keep_alive(lease, 3)
            waiting = asyncio.ensure_future(keeper.wait_lost())
            await until_refreshed(keeper)
            server.send_signal(signal.SIGSTOP)
            try:
                with pytest.raises(EtcdUnavailableError, match=server.url):
                    await client.range_prefix(b"/a")
                assert not waiting.done()
                await asyncio.sleep(keeper.valid_until() - SYSTEM.monotonic() + 0.1)
                assert keeper.valid_until() < SYSTEM.monotonic()
                assert not waiting.done()
            finally:
                server.send_signal(signal.SIGCONT)
            # It may have let the lease expire as it woke up, or have refreshed it before.
            await until_refreshed(keeper, waiting)
            assert waiting.done() == (keeper.valid_until() == 0.0)
            waiting.cancel()
            await keeper.stop()


async def test_a_lease_outlives_a_restart_of_etcd(tmp_path: Path) -> None:
    """etcd gives every lease its whole term again: keys and leases are as before it went away."""
    with etcd(tmp_path) as server:
        async with client_of(server.url) as client:
            lease = await client.grant_lease(2)
            await put(client, b"/kept", lease=lease)
            keeper = client.keep_alive(lease, 2)
            waiting = asyncio.ensure_future(keeper.wait_lost())
            await until_refreshed(keeper)
            server.stop()
            await asyncio.sleep(4)
            assert keeper.valid_until() < SYSTEM.monotonic()
            server.start()
            await until_refreshed(keeper)
            assert keeper.valid_until() > SYSTEM.monotonic()
            assert not waiting.done()
            (kept,) = (await client.range_prefix(b"/kept")).kvs
            assert kept.lease == lease
            waiting.cancel()
            await keeper.stop()


async def test_a_keeper_stops_at_once_though_etcd_hangs(tmp_path: Path) -> None:
    with etcd(tmp_path) as server:
        async with client_of(server.url) as client:
            lease = await client.grant_lease(60)
            server.send_signal(signal.SIGSTOP)
            try:
                keeper = client.keep_alive(lease, 60)
                assert isinstance(keeper, ThreadLeaseKeeper)

                async def is_waiting() -> bool:
                    return keeper._pending is not None

                await until(is_waiting)
                before = SYSTEM.monotonic()
                await keeper.stop()
                assert SYSTEM.monotonic() < before + 2  # To connect may take 5, a refresh 20.
                assert not [t for t in threading.enumerate() if t.name.startswith("lease")]
            finally:
                server.send_signal(signal.SIGCONT)


async def test_closing_the_client_is_an_error_to_those_who_wait(tmp_path: Path) -> None:
    with etcd(tmp_path) as server:
        client = await connect(server.url)
        await put(client, b"/a")
        async with watching(client, b"/a", 1) as batches:
            await next_events(batches)
            watch = asyncio.ensure_future(anext(batches))
            server.send_signal(signal.SIGSTOP)
            call = asyncio.ensure_future(client.range_prefix(b"/a"))
            await asyncio.wait([watch, call], timeout=0.1)
            await client.close()
            server.send_signal(signal.SIGCONT)
            for waiting in (watch, call):
                with pytest.raises(EtcdUnavailableError, match="the client is closed"):
                    await waiting


async def test_nothing_is_left_of_a_watch_which_was_closed_or_cancelled(tmp_path: Path) -> None:
    with etcd(tmp_path) as server:
        async with client_of(server.url) as client:
            await put(client, b"/a")
            before = asyncio.all_tasks()
            async with watching(client, b"/a", 1) as batches:
                await next_events(batches)
            async with watching(client, b"/a", 1) as batches:
                await next_events(batches)
                waiting = asyncio.ensure_future(anext(batches))
                await asyncio.wait([waiting], timeout=0.05)
                waiting.cancel()
                await asyncio.wait([waiting])
                assert waiting.cancelled()
            await client.request_progress()

            async def is_alone() -> bool:
                return asyncio.all_tasks() <= before

            await until(is_alone)
            assert not client._watches


async def test_a_lease_lives_while_it_is_kept(tmp_path: Path) -> None:
    with etcd(tmp_path) as server:
        async with client_of(server.url) as client:
            lease = await client.grant_lease(2)
            revision = await put(client, b"/kept", lease=lease)
            keeper = client.keep_alive(lease, 2)
            granted = keeper.valid_until()

            async def is_old() -> bool:
                return SYSTEM.monotonic() > granted + 2  # Twice its time to live.

            await until(is_old)
            assert (await client.range_prefix(b"/kept")).kvs
            assert keeper.valid_until() > SYSTEM.monotonic()
            await keeper.stop()
            async with watching(client, b"/kept", revision + 1) as batches:
                assert [event.is_delete for event in await next_events(batches)] == [True]


async def test_a_lease_is_kept_over_a_connection_of_its_own(tmp_path: Path) -> None:
    with etcd(tmp_path) as server:
        async with link(server.url, 0) as (url, connections), client_of(url) as client:
            before = len(connections)
            lease = await client.grant_lease(3)
            assert len(connections) == before
            keeper = client.keep_alive(lease, 3)
            await until_refreshed(keeper)
            assert len(connections) == before + 1
            await keeper.stop()


# Credentials.


def enable_auth(server: EtcdServer) -> None:
    for user, password in (("root", "toor"), ("broker", "secret"), ("guest", "secret")):
        server.post("/v3/auth/user/add", {"name": user, "password": password})
    everything = {"key": "AA==", "range_end": "AA==", "permType": "READWRITE"}
    server.post("/v3/auth/role/add", {"name": "all"})
    server.post("/v3/auth/role/grant", {"name": "all", "perm": everything})
    server.post("/v3/auth/user/grant", {"user": "broker", "role": "all"})
    server.post("/v3/auth/user/grant", {"user": "root", "role": "root"})
    server.post("/v3/auth/enable", {})


async def test_a_token_which_etcd_does_not_know_any_more_is_renewed(tmp_path: Path) -> None:
    """etcd forgets a token when it is unused for minutes, and all of them when it restarts."""
    with etcd(tmp_path) as server:
        enable_auth(server)
        access = {"user": "broker", "password": "secret"}
        async with client_of(server.url, **access) as calling:
            revision = await put(calling, b"/a", b"1")
            async with (
                client_of(server.url, **access) as client,
                watching(client, b"/a", revision) as batches,
            ):
                assert [event.kv.value for event in await next_events(batches)] == [b"1"]
                server.stop()
                server.start()
                await put(calling, b"/a", b"2")
                assert [event.kv.value for event in await next_events(batches)] == [b"2"]
            lease = await calling.grant_lease(3)
            keeper = calling.keep_alive(lease, 3)
            await until_refreshed(keeper)
            await keeper.stop()
            await calling.revoke_lease(lease)


async def test_a_token_which_has_expired_is_renewed(tmp_path: Path) -> None:
    """Calls, watches and leases go on though each token is gone before the next use of it."""
    with etcd(tmp_path, "--auth-token-ttl=1") as server:
        enable_auth(server)
        async with client_of(server.url, user="broker", password="secret") as client:
            lease = await client.grant_lease(9)
            keeper = client.keep_alive(lease, 9)  # Refreshed every 3 s.
            revision = await put(client, b"/a", b"1", lease=lease)
            async with watching(client, b"/a", revision) as batches:
                assert [event.kv.value for event in await next_events(batches)] == [b"1"]
                token = client._token
                for _ in range(2):
                    await until_refreshed(keeper)
                await put(client, b"/a", b"2", lease=lease)
                assert client._token != token
                assert [event.kv.value for event in await next_events(batches)] == [b"2"]
            await keeper.stop()


async def test_who_may_not_is_told(tmp_path: Path) -> None:
    with etcd(tmp_path) as server:
        enable_auth(server)
        with pytest.raises(EtcdError, match="authentication failed") as refused:
            await connect(server.url, user="broker", password="wrong")
        assert not isinstance(refused.value, EtcdUnavailableError)
        async with client_of(server.url, user="guest", password="secret") as client:
            with pytest.raises(EtcdError, match="permission denied"):
                await put(client, b"/a")
            async with watching(client, b"/a", 1) as batches:
                with pytest.raises(EtcdError, match="permission denied"):
                    await anext(batches)


async def test_tls_with_a_client_certificate(tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path)
    url = f"https://127.0.0.1:{free_ports(1)[0]}"
    flags = [f"--cert-file={cert}", f"--key-file={key}", f"--trusted-ca-file={cert}"]
    with etcd(tmp_path, *flags, "--client-cert-auth", more_urls=[url]):
        files = {"ca_file": str(cert), "cert_file": str(cert), "key_file": str(key)}
        async with client_of(url, **files) as client:
            await put(client, b"/a")
            lease = await client.grant_lease(3)
            keeper = client.keep_alive(lease, 3)
            await until_refreshed(keeper)
            await keeper.stop()
        with pytest.raises(EtcdUnavailableError, match=url):
            await connect(url, ca_file=str(cert), timeout_s=1.0)
    with pytest.raises(ConfigError, match=r"--etcd\.trusted-ca-file"):
        await connect(url, ca_file=str(tmp_path / "missing"))


async def test_a_unix_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # The path of a socket is at most 107 bytes long.
    with etcd(tmp_path, more_urls=["unix://socket:1"]):
        async with client_of("unix://socket:1") as client:
            assert await put(client, b"/a") > 1
        async with client_of(f"unix://{tmp_path}/socket:1") as client:
            assert (await client.range_prefix(b"/a")).kvs


def write_certificate(directory: Path) -> tuple[Path, Path]:
    """Write one self-signed certificate which is everybody's, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (directory / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / "cert.pem", directory / "key.pem"
