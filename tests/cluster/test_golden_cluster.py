"""The reference's own sequences of appends, sent to a running broker."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc.aio
import pytest
from dev_process import dev
from local_clusters import apply, spec

from gazette_py.client import connect
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.pb.protocol_pb2_grpc import JournalStub
from gazette_py.protocol import convert
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.labels import LabelSet
from gazette_py.protocol.selector_text import parse_selector

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def ready() -> Iterator[dict[str, Any]]:
    with dev("--brokers", "1") as (process, line):
        yield line
        assert process.poll() is None, "the cluster died"


@pytest.fixture
async def stub(ready: dict[str, Any]) -> AsyncIterator[Any]:
    address = ready["brokers"][0].removeprefix("http://")
    async with grpc.aio.insecure_channel(address) as channel:
        yield JournalStub(channel)


async def journal(ready: dict[str, Any], name: str) -> str:
    async with connect(ready["brokers"][0]) as client:
        await apply(client, spec(name, replication=1, codec=CompressionCodec.NONE))
        await client.append(name)
    return name


async def test_an_append_in_two_messages(ready: dict[str, Any], stub: Any) -> None:
    name = await journal(ready, "golden/append")
    contents = (pb.AppendRequest(content=content) for content in (b"foo", b"bar", b""))
    response = await stub.Append(iter([pb.AppendRequest(journal=name), *contents]))
    assert response.status == pb.OK
    assert (response.commit.begin, response.commit.end) == (0, 6)
    assert convert.sum_from_pb(response.commit.sum) == hashlib.sha1(b"foobar").digest()
    assert response.total_chunks == 3
    assert response.HasField("registers")
    assert response.header.route.endpoints == ready["brokers"]


async def test_an_append_of_nothing(ready: dict[str, Any], stub: Any) -> None:
    """Its sum is that of no bytes, although that of an empty fragment is zero."""
    name = await journal(ready, "golden/empty")
    response = await stub.Append(iter([pb.AppendRequest(journal=name), pb.AppendRequest()]))
    assert convert.sum_from_pb(response.commit.sum).hex() == (
        "da39a3ee5e6b4b0d3255bfef95601890afd80709"
    )
    assert (response.commit.begin, response.commit.end, response.total_chunks) == (0, 0, 1)


def registers(*pairs: tuple[str, str]) -> pb.LabelSet:
    return convert.labels_to_pb(LabelSet.of(*pairs))


async def test_the_sequence_of_registers(ready: dict[str, Any], stub: Any) -> None:
    name = await journal(ready, "golden/registers")
    one, two = registers(("AA", "11"), ("BB", "22")), registers(("BB", "22"), ("CC", "33"))
    three = registers(("AA", "44"), ("BB", "22"))
    for check, subtract, union, status, expected in (
        ("", None, one, pb.OK, one),
        (
            "AA in (11), BB",
            registers(("AA", "11"), ("BB", "XYZ")),
            registers(("CC", "33")),
            pb.OK,
            two,
        ),
        ("!AA, CC", registers(("CC", "33")), registers(("AA", "44")), pb.OK, three),
        ("AA = 55", None, registers(("ZZZ", "")), pb.REGISTER_MISMATCH, three),
    ):
        selector = convert.selector_to_pb(parse_selector(check)) if check else None
        first = pb.AppendRequest(
            journal=name,
            check_registers=selector,
            subtract_registers=subtract,
            union_registers=union,
        )
        content = pb.AppendRequest(content=b"x")
        response = await stub.Append(iter([first, content, pb.AppendRequest()]))
        assert (response.status, response.registers) == (status, expected)
