"""Brokers of the reference which serve TLS, to our client and `journalctl`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from certificates import Authority
from go_programs import go_member, run
from local_clusters import config, eventually, spec

from gazette_py import errors
from gazette_py.client import Change, Client, connect
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.claims import of_journal

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

JOURNAL = "secret/journal"


@asynccontextmanager
async def serving(directory: Path, go_broker: str, ca: Authority, *more: str) -> AsyncIterator[str]:
    """Provide the endpoint of a broker of 127.0.0.1, which trusts itself."""
    cert = ca.issue("broker", "127.0.0.1")
    arguments = [
        f"--broker.peer-ca-file={ca.path}",
        f"--broker.peer-cert-file={cert[0]}",
        f"--broker.peer-cert-key-file={cert[1]}",
        *more,
    ]
    async with (
        LocalCluster(config(directory, brokers=1)) as cluster,
        go_member(cluster, go_broker, "a", prefix="/tls", cert=cert, arguments=arguments) as go,
    ):
        yield go.endpoint


async def use(client: Client) -> None:
    """Make each kind of call, of which some go to the endpoint that the broker announces."""
    await client.apply([Change(upsert=spec(JOURNAL), expect_mod_revision=0)])

    async def is_served() -> bool:
        (journal,) = (await client.list(of_journal(JOURNAL))).journals
        return journal.route.primary >= 0

    await eventually(is_served, "served")
    for _ in range(2):
        done = await client.append(JOURNAL, b"tea")
        assert await client.read_all(JOURNAL, done.commit.begin, done.commit.end) == b"tea"


async def test_a_ca_of_ones_own(
    tmp_path: Path, go_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, other = Authority(tmp_path, "ca"), Authority(tmp_path, "other")
    async with serving(tmp_path, go_broker, ca) as endpoint, asyncio.timeout(60):
        async with connect(endpoint, trusted_ca_file=str(ca.path)) as client:
            await use(client)
        async with connect(endpoint, trusted_ca_file=str(other.path)) as client:
            with pytest.raises(errors.RpcTlsError, match="trusted_ca_file"):
                await client.append(JOURNAL, b"tea")
        async with connect(endpoint.replace("https:", "http:"), timeout_s=1) as client:
            with pytest.raises(errors.RpcUnavailableError, match="https://"):
                await client.append(JOURNAL, b"tea")
        journalctl = str(Path(sys.executable).parent / "gazette-journalctl")
        monkeypatch.setenv("BROKER_ADDRESS", endpoint)
        assert "--broker.trusted-ca-file" in await run(journalctl, "list", fails=True)
        monkeypatch.setenv("BROKER_TRUSTED_CA_FILE", str(ca.path))
        assert JOURNAL in await run(journalctl, "list")


async def test_clients_are_asked_for_a_certificate(tmp_path: Path, go_broker: str) -> None:
    ca = Authority(tmp_path, "ca")
    cert, key = ca.issue("me")
    async with (
        serving(tmp_path, go_broker, ca, f"--broker.server-ca-file={ca.path}") as endpoint,
        asyncio.timeout(60),
    ):
        async with connect(
            endpoint, trusted_ca_file=str(ca.path), cert_file=str(cert), cert_key_file=str(key)
        ) as client:
            await use(client)
        async with connect(endpoint, trusted_ca_file=str(ca.path), timeout_s=1) as client:
            with pytest.raises(errors.RpcUnavailableError, match="give cert_file and cert_key"):
                await client.append(JOURNAL, b"tea")
