"""Throughput and latency of appends and reads, at R=1 and R=3, of real broker processes.

    pytest -m bench -s tests/bench                    five rounds of 3 s for each figure
    GAZETTE_BENCH_SECONDS=0.5 pytest -m bench         short: it says nothing about speed
    GAZETTE_BENCH_JSON=FILE                           also write figures and rounds
    --bench-address=URL                               also measure brokers which run elsewhere
    GAZETTE_TEST_GO_BROKER=PROGRAM                    also measure the reference's brokers

Rounds of all systems are interleaved: what else the machine does meets all of them alike. A
workload which moves no bytes fails, as does one whose bytes are not read back as they were written.
"""

import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from bench_figures import figures_of, table_of, write_json
from bench_systems import System, at_address, our_system, ours, reference
from bench_workloads import WORKLOADS, Sample

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

SECONDS = float(os.environ.get("GAZETTE_BENCH_SECONDS", "3"))
ROUNDS = int(os.environ.get("GAZETTE_BENCH_ROUNDS", "5" if SECONDS > 1 else "1"))
REPLICATIONS = (1, 3)


async def measure(systems: Sequence[System]) -> list[Sample]:
    """Measure every workload on every system, round by round."""
    samples = []
    for number in range(ROUNDS):
        for workload in WORKLOADS:
            # Who comes first changes from round to round.
            for system in systems if number % 2 == 0 else reversed(systems):
                sample = await workload.run(system, SECONDS)
                assert sample.content_bytes > 0, f"{workload.name} moved no bytes"
                samples.append(sample)
    return samples


async def test_throughput(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    systems: list[System] = []
    async with AsyncExitStack() as stack:
        etcd = ""
        for replication in REPLICATIONS:
            cluster = await stack.enter_async_context(ours(tmp_path, replication, etcd))
            etcd = cluster.etcd_url  # All share the first's.
            systems.append(await stack.enter_async_context(our_system(cluster)))
        if program := os.environ.get("GAZETTE_TEST_GO_BROKER"):
            for replication in REPLICATIONS:
                running = reference(tmp_path, program, replication, etcd)
                systems.append(await stack.enter_async_context(running))
        store = request.config.getoption("--bench-store")
        for address in request.config.getoption("--bench-address"):
            systems += await stack.enter_async_context(at_address(address, store))
        samples = await measure(systems)
    figures = figures_of(samples)
    with capsys.disabled():
        print(f"\n\n{ROUNDS} rounds of {SECONDS:g} s\n\n{table_of(figures)}")
    if path := os.environ.get("GAZETTE_BENCH_JSON"):
        write_json(Path(path), figures, samples)
