"""Samples -> figures: medians over rounds, their spread, ratios, a table and a JSON file."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

import google.protobuf
import grpc
from bench_systems import OURS
from bench_workloads import MIB, Sample

_BULKY_BYTES = 64 << 10
"""Operations of at least so many bytes are told in bytes rather than by their count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A workload on one system. Each is the median over rounds."""

    workload: str
    system: str
    replication: int
    rounds: int
    is_bulky: bool
    rate: float  # Operations per second; MiB per second if bulky.
    rate_min: float  # Of the slowest round.
    rate_max: float
    p50_ms: float
    p99_ms: float
    broker_cpu: float | None  # Microseconds per operation; milliseconds per MiB if bulky.
    client_cpu: float  # Likewise.


def figure_of(samples: Sequence[Sample]) -> Figure:
    """Return the figure of samples which differ in their round only."""
    first = samples[0]
    is_bulky = first.content_bytes / first.operations >= _BULKY_BYTES
    rates = [_units(s, is_bulky=is_bulky) / s.seconds for s in samples]
    scale = 1e3 if is_bulky else 1e6
    cpu = [
        s.broker_cpu_s * scale / _units(s, is_bulky=is_bulky)
        for s in samples
        if s.broker_cpu_s is not None
    ]
    return Figure(
        workload=first.workload,
        system=first.system,
        replication=first.replication,
        rounds=len(samples),
        is_bulky=is_bulky,
        rate=median(rates),
        rate_min=min(rates),
        rate_max=max(rates),
        p50_ms=1e3 * median(median(s.latencies_s) for s in samples),
        p99_ms=1e3 * median(_p99(s.latencies_s) for s in samples),
        broker_cpu=median(cpu) if cpu else None,
        client_cpu=median(s.client_cpu_s * scale / _units(s, is_bulky=is_bulky) for s in samples),
    )


def figures_of(samples: Iterable[Sample]) -> list[Figure]:
    """Return a figure for each workload on each system, in the order of their first samples."""
    groups: dict[tuple[str, int, str], list[Sample]] = {}
    for sample in samples:
        key = (sample.workload, sample.replication, sample.system)
        groups.setdefault(key, []).append(sample)
    return [figure_of(group) for group in groups.values()]


def _units(sample: Sample, *, is_bulky: bool) -> float:
    return sample.content_bytes / MIB if is_bulky else sample.operations


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]


_HEADER = (
    *("workload", "R", "brokers", "rate", "slowest..fastest", "p50 ms", "p99 ms"),
    *("CPU brokers", "CPU client", "ratio"),
)


def table_of(figures: Sequence[Figure]) -> str:
    """Return an aligned table. `ratio` is our rate over that of the system in the row."""
    own = {(f.workload, f.replication): f.rate for f in figures if f.system == OURS}
    rows = [_HEADER]
    for f in sorted(figures, key=lambda f: f.replication):
        mine = own.get((f.workload, f.replication))
        per = "ms/MiB" if f.is_bulky else "us"
        digits = 2 if f.is_bulky else 0
        rows.append(
            (
                f.workload,
                str(f.replication),
                f.system,
                f"{f.rate:,.0f} {'MiB/s' if f.is_bulky else '/s'}",
                f"{f.rate_min:,.0f}..{f.rate_max:,.0f}",
                f"{f.p50_ms:.2f}",
                f"{f.p99_ms:.2f}",
                "-" if f.broker_cpu is None else f"{f.broker_cpu:.{digits}f} {per}",
                f"{f.client_cpu:.{digits}f} {per}",
                "-" if mine is None or f.system == OURS else f"{mine / f.rate:.2f}",
            )
        )
    return aligned(rows, left=3)


def aligned(rows: Sequence[Sequence[str]], *, left: int) -> str:
    """Return rows as lines, the first `left` columns set left and the others right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def write_json(path: Path, figures: Sequence[Figure], samples: Sequence[Sample]) -> None:
    """Write figures, and the rounds which they are made of."""
    rounds = []
    for sample in samples:
        values = asdict(sample)
        values["latency_p99_s"] = _p99(sample.latencies_s)
        values["latency_p50_s"] = median(values.pop("latencies_s"))
        rounds.append(values)
    document = {
        "machine": {
            "processors": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "grpcio": grpc.__version__,
            "protobuf": google.protobuf.__version__,
        },
        "figures": [asdict(figure) for figure in figures],
        "rounds": rounds,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
