"""A client and a peer which share nothing with us but the wire, generated from the proto alone.

It runs in a process of its own, since two registrations of the package `protocol` would clash.
"""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dev_process import dev
from local_clusters import config, spec

from gazette_py.clock import SYSTEM
from gazette_py.etcd.base import Op, Put
from gazette_py.etcd.client import connect
from gazette_py.local.cluster import LocalCluster
from gazette_py.local.etcd_process import start_etcd
from gazette_py.local.ports import free_ports
from gazette_py.pb import protocol_pb2 as pb
from gazette_py.protocol import convert
from gazette_py.protocol.enums import CompressionCodec

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

HERE = Path(__file__).parent
ROOT = "/gazette/cluster"


def stubs_of(proto: Path, directory: Path) -> Path:
    """Generate code from a proto file, and return where it is."""
    stubs = directory / "stubs"
    stubs.mkdir()
    # Options of gogoproto never change bytes; their import is cut, so that protoc needs nothing.
    source = proto.read_text()
    (stubs / "protocol.proto").write_text(_without_options(source))
    subprocess.run(
        [
            *(_tools(), "-m", "grpc_tools.protoc", f"-I{stubs}"),
            *(f"--python_out={stubs}", f"--grpc_python_out={stubs}", "protocol.proto"),
        ],
        check=True,
    )
    return stubs


def run_steps(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / program), *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all steps passed"


def test_the_golden_sequences(tmp_path: Path, protocol_proto: Path) -> None:
    stubs = stubs_of(protocol_proto, tmp_path)
    with dev("--brokers", "4") as (_, ready):
        run_steps("wire_client.py", str(stubs), ready["brokers"][0])


async def test_replication_with_an_independent_peer(tmp_path: Path, protocol_proto: Path) -> None:
    """The peer is the oldest member, and so leads the allocator: it leaves our assignments be."""
    stubs = stubs_of(protocol_proto, tmp_path)
    (port,) = free_ports(1)
    etcd_process, url = await start_etcd(tmp_path / "etcd", tmp_path / "etcd.log", SYSTEM)
    etcd = await connect(url)
    try:
        lease = await etcd.grant_lease(60)
        peer = pb.BrokerSpec(
            process_spec=pb.ProcessSpec(
                id=pb.ProcessSpec.ID(zone="wire", suffix="peer"),
                endpoint=f"http://127.0.0.1:{port}",
            ),
            journal_limit=10,
        )
        member = f"{ROOT}/members/wire#peer".encode()
        await etcd.txn([], [Put(member, peer.SerializeToString(), lease=lease)])
        options = config(tmp_path, brokers=1, etcd=url, extra_flags=("--broker.max-replication=2",))
        async with LocalCluster(options) as cluster:
            ops: list[Op] = []
            for name, own_slot in (("ours", 0), ("theirs", 1), ("fresh", 1)):
                journal = spec(
                    f"golden/{name}", replication=2, codec=CompressionCodec.SNAPPY, length=1 << 20
                )
                item = convert.journal_to_pb(journal).SerializeToString()
                ops.append(Put(f"{ROOT}/items/golden/{name}".encode(), item))
                for owner, slot in (("a#broker-0", own_slot), ("wire#peer", 1 - own_slot)):
                    key = f"{ROOT}/assign/golden/{name}#{owner}#{slot}"
                    ops.append(Put(key.encode(), b"", lease=lease))
            await etcd.txn([], ops)
            await asyncio.to_thread(
                run_steps, "wire_peer.py", str(stubs), cluster.endpoints[0], str(port)
            )
            assigned = await etcd.range_prefix(f"{ROOT}/assign/golden/ours#".encode())
            # Members and primary, without endpoints; and the lease was kept.
            route = bytes.fromhex("0a0d0a016112") + b"\x08broker-0"
            route += bytes.fromhex("0a0c0a0477697265") + b"\x12\x04peer"
            assert [kv.value for kv in assigned.kvs] == [route, route]
            assert {kv.lease for kv in assigned.kvs} == {lease}
    finally:
        await etcd.close()
        await etcd_process.stop(5)


def _tools() -> str:
    """Return a Python with grpcio-tools: that of `proto/generate`."""
    root = Path(__file__).parents[2]
    tools = Path(os.environ.get("GAZETTE_PROTO_VENV", root / ".cache" / "proto-venv"))
    python = tools / "bin" / "python"
    if not python.exists():
        pytest.skip("proto/generate has not been run: it installs the compiler of protos")
    return str(python)


def _without_options(source: str) -> str:
    """Cut the import and every option of gogoproto out of a proto file."""
    text = re.sub(r'^import "gogoproto[^;]*;|^option [^;]*;', "", source, flags=re.M)
    text = re.sub(r"^\s*option \(gogoproto[^;]*;", "", text, flags=re.M)
    # Of fields. Texts within may hold brackets.
    return re.sub(r'\s*\[\s*\((?:"[^"]*"|[^\]"])*\]\s*;', ";", text)
