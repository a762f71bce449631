"""Brokers with keys: who bears a token does what it claims, with the journals it selects."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from journalctl_process import call
from local_clusters import apply, config, members_of, spec, wait_consistent

from gazette_py import errors
from gazette_py.client import Change, Client, connect
from gazette_py.clock import SYSTEM
from gazette_py.local.cluster import LocalCluster
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb.protocol_pb2_grpc import JournalStub
from gazette_py.protocol.claims import Capability, Claims, parse_keys
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.rpc.channel import dial
from gazette_py.rpc.tokens import SignedTokens

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

KEY = "dGhlLWtleXMtb2YtdGhlLWNsdXN0ZXItYXJlLWxvbmc="
OTHER = "YW5vdGhlci1rZXktd2hpY2gtbm9ib2R5LWtub3dzLWhlcmU="
ACME = LabelSelector(LabelSet((Label("name", "acme/", prefix=True),)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCluster]:
    path = tmp_path_factory.mktemp("keys")
    async with LocalCluster(config(path, brokers=3, auth_keys=KEY)) as cluster:
        async with cluster.connect() as client:
            names = ["acme/one", "other/one"]
            await apply(client, *(spec(name, replication=2) for name in names))
            await wait_consistent(cluster, client, names)
        yield cluster


def token(capability: Capability, selector: LabelSelector = ACME, *, lifetime_s: float = 60) -> str:
    now = int(time.time())
    signer = SignedTokens(parse_keys("key", KEY), SYSTEM)
    return signer.sign(Claims(capability, selector, now, int(now + lifetime_s)))


def bearing(cluster: LocalCluster, token: str) -> Client:
    return connect(cluster.endpoints[0], auth_token=token, timeout_s=10)


@pytest.mark.asyncio(loop_scope="module")
class TestTokens:
    async def test_brokers_let_each_other_in(self, cluster: LocalCluster) -> None:
        """Each broker replicates and forwards by tokens which it signs itself."""
        members = await members_of(cluster, "acme/one")
        stranger = next(b for b in cluster.brokers if b not in members)
        async with connect(stranger.endpoint, auth_keys=KEY) as client:
            commit = (await client.append("acme/one", b"forwarded\n")).commit
            assert await client.read_all("acme/one", commit.begin, commit.end) == b"forwarded\n"
            assert [f.fragment.end async for f in client.fragments("acme/one")][-1] == commit.end

    @pytest.mark.parametrize(
        "options", [{}, {"auth_keys": OTHER}, {"auth_token": "abc.def.ghi"}], ids=str
    )
    async def test_others_are_kept_out_of_every_call(
        self, cluster: LocalCluster, options: dict[str, str]
    ) -> None:
        async with connect(cluster.endpoints[0], timeout_s=10, **options) as client:  # type: ignore[arg-type]  # As given.
            for call in (
                lambda: client.append("acme/one", b"x"),
                lambda: client.list(),
                lambda: client.read_all("acme/one", 0, 1),
                lambda: client.write_head("acme/one"),
                lambda: client.apply([Change(delete="acme/one", expect_mod_revision=-1)]),
                lambda: client.store_health("file:///"),
            ):
                with pytest.raises(errors.RpcUnauthenticatedError):
                    await call()
            with pytest.raises(errors.RpcUnauthenticatedError):
                async for _ in client.fragments("acme/one"):
                    pass

    async def test_a_token_shows_the_journals_which_it_selects(self, cluster: LocalCluster) -> None:
        async with bearing(cluster, token(Capability.LIST | Capability.READ)) as client:
            assert [j.spec.name for j in (await client.list()).journals] == ["acme/one"]
            await client.write_head("acme/one")
            with pytest.raises(errors.JournalNotFoundError):
                await client.write_head("other/one")
            with pytest.raises(errors.RpcUnauthenticatedError, match="lacks APPEND"):
                await client.append("acme/one", b"x")

    async def test_a_token_changes_the_journals_which_it_selects(
        self, cluster: LocalCluster
    ) -> None:
        async with bearing(cluster, token(Capability.APPLY | Capability.APPEND)) as client:
            with pytest.raises(errors.JournalNotFoundError):
                await client.append("other/one", b"x")
            for change in (
                Change(upsert=spec("other/two"), expect_mod_revision=0),
                Change(delete="other/one", expect_mod_revision=-1),
            ):
                with pytest.raises(errors.RpcUnauthenticatedError, match="journal other/"):
                    await client.apply([change])
            await client.apply([Change(upsert=spec("acme/two"), expect_mod_revision=0)])
            await client.apply([Change(delete="acme/two", expect_mod_revision=-1)])

    async def test_a_token_which_has_expired_is_told_so(self, cluster: LocalCluster) -> None:
        async with bearing(cluster, token(Capability.LIST, lifetime_s=-60)) as client:
            with pytest.raises(errors.RpcUnauthenticatedError, match="expired 6"):
                await client.list()

    async def test_streams_end_as_their_token_expires(self, cluster: LocalCluster) -> None:
        """They end as if all was told, and the client comes back with another token."""
        (member, *_) = await members_of(cluster, "acme/one")
        bearer = token(Capability.LIST | Capability.READ, lifetime_s=2)
        metadata = (("authorization", f"Bearer {bearer}"),)
        channel = dial(member.endpoint, recv_bytes_max=1 << 20)
        stub = JournalStub(channel)
        read = pb.ReadRequest(journal="acme/one", offset=-1, block=True)
        async with asyncio.timeout(30):
            assert [r async for r in stub.Read(read, metadata=metadata)] == []
            watch = stub.List(pb.ListRequest(watch=True), metadata=metadata)
            journals = [journal.spec.name async for r in watch for journal in r.journals]
            assert journals in ([], ["acme/one"])  # The latter if that took no time.
        await channel.close()

    @pytest.mark.parametrize(
        ("name", "capability", "code"),
        [
            ("acme/new", Capability.LIST | Capability.APPLY, 0),
            ("acme/new", Capability.LIST, 5),
            ("other/new", Capability.LIST | Capability.APPLY, 5),
        ],
    )
    async def test_a_dry_run_tells_what_the_token_does_not_allow(
        self, cluster: LocalCluster, tmp_path: Path, name: str, capability: Capability, code: int
    ) -> None:
        (tmp_path / "new.yaml").write_text(
            f"name: {name}\nreplication: 1\nfragment: {{length: 1024, compression_codec: NONE,"
            " stores: ['file:///'], refresh_interval: 1m}\n"
        )
        ended = await call(
            *("apply", "-f", str(tmp_path / "new.yaml"), "--dry-run=server"),
            address=cluster.endpoints[0],
            env={"BROKER_AUTH_TOKEN": token(capability)},
        )
        assert ended.code == code, ended.err
        if code:
            assert f"the token does not allow changes of journal {name}" in ended.err

    @pytest.mark.parametrize(
        ("lifetime_s", "capability", "cause"),
        [
            (60, Capability.LIST | Capability.READ | Capability.APPEND, None),
            (-60, Capability.LIST | Capability.READ | Capability.APPEND, "token-expired"),
            (60, Capability.LIST, "not-admitted"),
        ],
    )
    async def test_doctor_tells_why_a_token_does_not_let_in(
        self, cluster: LocalCluster, lifetime_s: int, capability: Capability, cause: str | None
    ) -> None:
        env = {
            "BROKER_AUTH_TOKEN": token(capability, lifetime_s=lifetime_s),
            "PATH": "/nowhere",  # Where no `journalctl` of ours stands before another.
        }
        ended = await call(
            "doctor", "acme/one", "-o", "json", address=cluster.endpoints[0], env=env
        )
        found = [item["cause"] for item in json.loads(ended.out)["items"]]
        if cause is None:
            assert (ended.code, found) == (0, [])
        else:
            assert ended.code == 8
            assert cause in found
