"""Brokers of the reference which ask for tokens let in what our client and `journalctl` sign."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from go_programs import go_member, run
from journalctl_process import call
from local_clusters import apply, config, eventually, spec, wait_consistent

from gazette_py import errors
from gazette_py.client import Change, connect
from gazette_py.clock import SYSTEM
from gazette_py.local.cluster import LocalCluster
from gazette_py.protocol.claims import Capability, Claims, of_journal, parse_keys
from gazette_py.protocol.labels import LabelSelector
from gazette_py.rpc.tokens import SignedTokens

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

KEY = "c2VjcmV0LW9mLXRoZS1jbHVzdGVy"
OTHER = "YW5vdGhlci1rZXktYWx0b2dldGhlcg=="
JOURNAL = "guarded/journal"


@pytest.fixture
async def guarded(tmp_path: Path, go_broker: str) -> AsyncIterator[str]:
    """The endpoint of a broker with keys, which has one journal."""
    async with (
        LocalCluster(config(tmp_path, brokers=1)) as cluster,
        go_member(
            cluster, go_broker, "a", prefix="/guarded", arguments=[f"--broker.auth-keys={KEY}"]
        ) as go,
        connect(go.endpoint, auth_keys=KEY) as client,
    ):
        await client.apply([Change(upsert=spec(JOURNAL), expect_mod_revision=0)])

        async def is_served() -> bool:
            (journal,) = (await client.list(of_journal(JOURNAL))).journals
            return journal.route.primary >= 0

        await eventually(is_served, "served")
        yield go.endpoint


async def test_every_call_of_our_client_is_let_in(guarded: str) -> None:
    for cache_size in (0, 8):
        async with connect(guarded, auth_keys=f"{KEY} {OTHER}", cache_size=cache_size) as client:
            begin = (await client.append(JOURNAL, b"hello\n")).commit.begin
            assert await client.read_all(JOURNAL, begin, begin + 6) == b"hello\n"
            assert [f.fragment.end async for f in client.fragments(JOURNAL)][-1] == begin + 6
            (journal,) = (await client.list()).journals
            assert journal.spec.name == JOURNAL
            await client.store_health(journal.spec.fragment.stores[0])
            async for snapshot in client.watch(of_journal(JOURNAL)):
                assert len(snapshot.journals) == 1
                break


@pytest.mark.parametrize("options", [{}, {"auth_keys": OTHER}, {"auth_token": "abc.def.ghi"}])
async def test_who_has_no_key_is_refused(guarded: str, options: dict[str, str]) -> None:
    async with connect(guarded, **options) as client:  # type: ignore[arg-type]  # As given.
        with pytest.raises(errors.RpcUnauthenticatedError):
            await client.append(JOURNAL, b"hello\n")
        with pytest.raises(errors.RpcUnauthenticatedError):
            await client.list()


async def test_journalctl_has_them_from_its_environment(
    guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journalctl = str(Path(sys.executable).parent / "gazette-journalctl")
    monkeypatch.setenv("BROKER_ADDRESS", guarded)
    refused = await run(journalctl, "list", fails=True)
    assert "--broker.auth-keys" in refused
    monkeypatch.setenv("BROKER_AUTH_KEYS", KEY)
    assert JOURNAL in await run(journalctl, "list")


async def test_brokers_of_either_kind_let_each_other_in(tmp_path: Path, go_broker: str) -> None:
    """A journal has a replica on each, and whichever is called forwards to the primary."""
    arguments = [f"--broker.auth-keys={OTHER} {KEY}"]
    cluster_config = config(tmp_path, brokers=3, zones=("a",), auth_keys=f"{KEY} {OTHER}")
    async with (
        LocalCluster(cluster_config) as cluster,
        go_member(cluster, go_broker, "b", replication=2, arguments=arguments) as go,
        cluster.connect() as ours,
        connect(go.endpoint, auth_keys=OTHER) as theirs,
    ):
        journals = [f"guarded/{number}" for number in range(6)]
        await apply(ours, *(spec(journal, replication=2) for journal in journals))
        await wait_consistent(cluster, ours, journals)
        primaries = set()
        for journal in (await ours.list()).journals:
            primaries.add(str(journal.route.primary_id).startswith("b/"))
            for writer, reader in ((ours, theirs), (theirs, ours)):
                commit = (await writer.append(journal.spec.name, b"hello\n")).commit
                content = await reader.read_all(journal.spec.name, commit.begin, commit.end)
                assert content == b"hello\n"
        assert primaries == {True, False}


def token(capability: Capability, *, age_s: int) -> str:
    """Return a token of an hour, which was signed some time ago."""
    issued = int(SYSTEM.now()) - age_s
    claims = Claims(capability, LabelSelector(), issued, issued + 3600)
    return SignedTokens(parse_keys("keys", KEY), SYSTEM).sign(claims)


BOUND = "too-few-brokers"
"""A note: the only broker bounds the three replicas of the journal by one."""
ALL = Capability.LIST | Capability.READ | Capability.APPEND


@pytest.mark.parametrize(
    ("env", "causes"),
    [
        ({"BROKER_AUTH_KEYS": KEY}, [BOUND]),
        ({"BROKER_AUTH_TOKEN": token(ALL, age_s=0)}, [BOUND]),
        ({"BROKER_AUTH_TOKEN": token(ALL, age_s=7200)}, ["token-expired"]),
        ({"BROKER_AUTH_TOKEN": token(ALL, age_s=-600)}, ["token-not-valid-yet"]),
        ({"BROKER_AUTH_TOKEN": token(Capability.LIST, age_s=0)}, [BOUND, "not-admitted"]),
        ({"BROKER_AUTH_KEYS": OTHER}, ["not-admitted"]),
        ({}, ["not-admitted"]),
    ],
)
async def test_doctor_tells_why_somebody_is_not_let_in(
    guarded: str, env: dict[str, str], causes: list[str]
) -> None:
    ended = await call("doctor", JOURNAL, "-o", "json", address=guarded, env=env)
    found = [finding["cause"] for finding in json.loads(ended.out)["items"]]
    assert (found, ended.code) == (causes, 0 if causes == [BOUND] else 8)
