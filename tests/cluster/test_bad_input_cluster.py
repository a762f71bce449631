"""What bad input gets from running brokers: an answer which names the fault, and nothing else."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from dev_process import dev
from local_clusters import apply, eventually, spec

from gazette_py.client import Client, connect
from gazette_py.errors import (
    AppendTooSlowError,
    CorruptFragmentError,
    JournalNotFoundError,
    NotAllowedError,
    RpcError,
    WrongAppendOffsetError,
)
from gazette_py.lake import Lake
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb.protocol_pb2_grpc import JournalStub
from gazette_py.protocol import convert
from gazette_py.protocol.enums import CompressionCodec, JournalFlag

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    directory = tmp_path_factory.mktemp("dev")
    with dev("--data-dir", str(directory), "--brokers", "2") as (process, line):
        yield line
        assert process.poll() is None, "the cluster died"


@pytest.fixture
async def client(ready: dict[str, Any]) -> AsyncIterator[Client]:
    async with connect(ready["brokers"][0], file_root=ready["file_root"]) as connected:
        yield connected


@pytest.fixture
async def stub(ready: dict[str, Any]) -> AsyncIterator[Any]:
    address = ready["brokers"][0].removeprefix("http://")
    async with grpc.aio.insecure_channel(address) as channel:
        yield JournalStub(channel)


async def new_journal(client: Client, name: str, **more: Any) -> str:
    await apply(client, spec(name, replication=1, **more))
    await client.append(name)
    return name


async def first(call: Any) -> Any:
    """Return the first message of a stream."""
    async for message in call:
        return message
    return None


BAD_HEADER = pb.Header(
    route=pb.Route(primary=-1),
    etcd=pb.Header.Etcd(cluster_id=1, member_id=1, revision=1, raft_term=1),
)
TOO_SHORT = pb.ApplyRequest(
    changes=[
        pb.ApplyRequest.Change(
            upsert=pb.JournalSpec(
                name="bad/spec",
                replication=1,
                fragment=pb.JournalSpec.Fragment(length=1, compression_codec=pb.NONE),
            )
        )
    ]
)
GOOD = pb.ApplyRequest.Change(
    upsert=convert.journal_to_pb(spec("bad/twice", replication=1)), expect_mod_revision=-1
)

BAD: list[tuple[str, Callable[[Any], Any], str]] = [
    (
        "list",
        lambda stub: first(
            stub.List(
                pb.ListRequest(
                    selector=pb.LabelSelector(include=pb.LabelSet(labels=[pb.Label(name="a")]))
                )
            )
        ),
        "Selector.Include.Labels[0].Name: invalid length",
    ),
    ("apply", lambda stub: stub.Apply(TOO_SHORT), "Changes[0].Upsert.Fragment: invalid Length"),
    (
        "apply delete with meta",
        lambda stub: stub.Apply(
            pb.ApplyRequest(
                changes=[pb.ApplyRequest.Change(delete="a/journal;meta", expect_mod_revision=-1)]
            )
        ),
        "Changes[0].Delete: cannot have a metadata path segment",
    ),
    (
        "apply a name twice",
        lambda stub: stub.Apply(pb.ApplyRequest(changes=[GOOD, GOOD])),
        "Changes[0] is of bad/twice, too",
    ),
    ("read", lambda stub: first(stub.Read(pb.ReadRequest(journal="/x"))), "Journal: "),
    (
        "read of another cluster",
        lambda stub: first(stub.Read(pb.ReadRequest(journal="a/journal", header=BAD_HEADER))),
        "ClusterId",
    ),
    (
        "append",
        lambda stub: stub.Append(iter([pb.AppendRequest(journal="a/journal", offset=-1)])),
        "invalid Offset (-1",
    ),
    (
        "append without a message",
        lambda stub: stub.Append(iter([])),
        "unexpected EOF",
    ),
    (
        "replicate",
        lambda stub: first(stub.Replicate(iter([pb.ReplicateRequest(content=b"x")]))),
        "expected Header",
    ),
    (
        "fragments",
        lambda stub: stub.ListFragments(pb.FragmentsRequest(journal="a/journal", page_limit=-1)),
        "invalid PageLimit (-1",
    ),
    (
        "store health",
        lambda stub: stub.FragmentStoreHealth(
            pb.FragmentStoreHealthRequest(fragment_store="azure-ad://t/a")
        ),
        "FragmentStore: missing storage container",
    ),
]


@pytest.mark.parametrize(("call", "expected"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
async def test_a_broken_request_is_unknown_with_its_path(
    stub: Any, call: Callable[[Any], Any], expected: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(stub)
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert expected in (caught.value.details() or "")
    assert "Traceback" not in (caught.value.details() or "")


async def test_a_message_which_is_none_is_internal(ready: dict[str, Any]) -> None:
    address = ready["brokers"][0].removeprefix("http://")
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary("/protocol.Journal/Apply")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INTERNAL


async def test_a_message_over_the_limit_is_refused(stub: Any, client: Client) -> None:
    journal = await new_journal(client, "bad/large")
    messages = [pb.AppendRequest(journal=journal), pb.AppendRequest(content=bytes(5 << 20))]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Append(iter(messages))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await client.write_head(journal) == 0


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([pb.AppendRequest(content=b"x")], "append stream: unexpected EOF"),
        (
            [pb.AppendRequest(content=b"x"), pb.AppendRequest(), pb.AppendRequest(content=b"y")],
            "append stream: ",
        ),
        ([pb.AppendRequest(journal="again/journal")], "append stream: unexpected Journal"),
        ([pb.AppendRequest(content=b"x", offset=5)], "append stream: unexpected Offset"),
    ],
    ids=["no intent to commit", "content after it", "parameters again", "offset again"],
)
async def test_a_broken_append_leaves_no_trace(
    stub: Any, client: Client, messages: list[pb.AppendRequest], expected: str
) -> None:
    journal = await new_journal(client, "bad/broken")
    head = await client.write_head(journal)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Append(iter([pb.AppendRequest(journal=journal), *messages]))
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert expected in (caught.value.details() or "")
    assert (await client.append(journal)).commit.end == head


async def test_registers_change_only_with_content(stub: Any, client: Client) -> None:
    journal = await new_journal(client, "bad/registers")
    request = pb.AppendRequest(journal=journal, union_registers=pb.LabelSet())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Append(iter([request, pb.AppendRequest()]))
    assert caught.value.code() is grpc.StatusCode.UNKNOWN


async def test_a_client_which_is_too_slow_is_aborted(stub: Any, client: Client) -> None:
    journal = await new_journal(client, "bad/slow")

    call = stub.Append()
    await call.write(pb.AppendRequest(journal=journal))
    await call.write(pb.AppendRequest(content=b"x"))
    started = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert "minimum append data rate" in (caught.value.details() or "")
    assert time.monotonic() - started < 20
    assert await client.write_head(journal) == 0


async def test_content_which_comes_too_slowly_is_told_as_such(client: Client) -> None:
    journal = await new_journal(client, "bad/trickle")

    async def trickle() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.1)

    with pytest.raises(AppendTooSlowError):
        await client.append(journal, trickle())
    assert await client.write_head(journal) == 0


async def test_a_client_which_dies_in_an_append_leaves_no_trace(
    ready: dict[str, Any], client: Client
) -> None:
    journal = await new_journal(client, "bad/killed")
    await client.append(journal, b"before\n")
    program = f"""
import asyncio
from gazette_py.client import connect

async def content():
    for _ in range(1000):
        yield b"x" * 100_000
        print("sent", flush=True)
        await asyncio.sleep(0.05)

async def main():
    async with connect({ready["brokers"][0]!r}) as client:
        await client.append({journal!r}, content())

asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(10):
        assert process.stdout.readline() == "sent\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    await client.append(journal, b"after\n")
    assert await client.read_all(journal, 0, 13) == b"before\nafter\n"
    assert (await client.append(journal)).commit.end == 13


async def test_statuses_reach_the_caller(client: Client) -> None:
    with pytest.raises(JournalNotFoundError):
        await client.append("bad/missing", b"x")
    journal = await new_journal(client, "bad/readonly")
    with pytest.raises(WrongAppendOffsetError):
        await client.append(journal, b"x", offset=99)
    await apply(client, spec(journal, replication=1, flags=JournalFlag.O_RDONLY))
    with pytest.raises(NotAllowedError):
        await client.append(journal, b"x")


async def stored(
    client: Client, journal: str, codec: CompressionCodec = CompressionCodec.GZIP
) -> None:
    """Close the open fragment, and wait until the broker has listed it."""
    await apply(client, spec(journal, replication=1, length=1024, codec=codec))
    await client.append(journal)

    async def check() -> bool:
        return all([f.fragment.mod_time async for f in client.fragments(journal)])

    await eventually(check, "stored")


CODECS = (
    CompressionCodec.NONE,
    CompressionCodec.GZIP,
    CompressionCodec.ZSTANDARD,
    CompressionCodec.SNAPPY,
)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name.lower())
@pytest.mark.parametrize("damage", ["flipped", "truncated", "emptied"])
async def test_a_damaged_fragment_is_reported_and_not_served(
    ready: dict[str, Any], client: Client, damage: str, codec: CompressionCodec
) -> None:
    journal = await new_journal(client, f"bad/{damage}-{codec.name}", codec=codec)
    content = os.urandom(50_000)
    await client.append(journal, content)
    await stored(client, journal, codec)
    (path,) = Path(ready["file_root"], journal).iterdir()
    packed = bytearray(path.read_bytes())
    if damage == "flipped":
        packed[len(packed) // 2] ^= 1
    path.chmod(0o640)
    path.write_bytes(
        packed
        if damage == "flipped"
        else packed[: len(packed) // 2 if damage == "truncated" else 0]
    )

    async with connect(ready["brokers"][0], cache_size=0, timeout_s=2) as proxied:
        reader = proxied.reader(journal, offset=0, end_offset=len(content))
        received = bytearray()

        async def read() -> None:
            async for batch in reader.batches():
                received.extend(bytes(batch))

        with pytest.raises(RpcError) as caught:
            await read()
        assert path.name[:90] in str(caught.value)
        assert f"expected 50000 bytes with SHA-1 {path.name[34:74]}, found " in str(caught.value)
        assert re.search(r"found \d+ bytes with SHA-1 [0-9a-f]{40}", str(caught.value))
        assert received == b""
    async with connect(ready["brokers"][0], file_root=ready["file_root"]) as direct:
        with pytest.raises(CorruptFragmentError) as corrupt:
            await direct.read_all(journal, 0, len(content))
    assert path.name[34:74] in str(corrupt.value)
    async with Lake("file:///", file_root=ready["file_root"]) as lake:
        with pytest.raises(CorruptFragmentError):
            async for _ in lake.read(journal):
                pass


async def test_a_store_which_is_down_delays_persistence_and_loses_nothing(
    ready: dict[str, Any], client: Client
) -> None:
    journal = await new_journal(client, "bad/outage", length=1024)
    root = Path(ready["file_root"])
    root.rename(root.with_name("away"))
    try:
        expected = b""
        for number in range(20):
            content = f"{number}\n".encode() * 300
            await client.append(journal, content)
            expected += content
        assert await client.read_all(journal, 0, len(expected)) == expected
    finally:
        root.with_name("away").rename(root)
    last = b"end\n" * 500  # Long enough for the fragment to be closed.
    await client.append(journal, last)
    expected += last
    await stored(client, journal)
    async with Lake("file:///", file_root=ready["file_root"]) as lake:

        async def check() -> bool:
            pieces = [piece async for piece in lake.read(journal, skip_gaps=True)]
            return b"".join(pieces) == expected

        await eventually(check, "stored", 60.0)


async def test_the_broker_s_metrics_have_the_reference_s_names(ready: dict[str, Any]) -> None:
    address = ready["http"][0].removeprefix("http://")
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /debug/metrics HTTP/1.0\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    for name in (
        'gazette_journal_server_started_totals{operation="Append"} ',
        'gazette_journal_server_completed_totals{operation="Append",status="ok"} ',
        "# TYPE gazette_journal_server_completed_totals counter",
        "gazette_spool_commits_total ",
        "gazette_spool_persisted_total ",
        "gazette_store_active ",
        'gazette_store_health_check_total{status="ok",store="file:///"} ',
    ):
        assert name in text
    assert "_created" not in text
