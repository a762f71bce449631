"""One read of a journal's whole history, in a process of its own, whose cost it prints as JSON.

    python backfill_child.py reader|lake|boto3|duckdb '{"journal": ..., "endpoint": ..., ...}'

All do the same job: count bytes and lines of content.
"""

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any


def count_by_reader(job: dict[str, Any]) -> tuple[int, int]:
    """Read with our client: broker, then the store, every byte verified."""
    from gazette_py.client import connect

    async def read() -> tuple[int, int]:
        length = lines = 0
        async with (
            connect(job["broker"]) as client,
            client.reader(job["journal"], end_offset=job["length"]) as reader,
        ):
            async for batch in reader.batches():
                length += batch.length
                lines += sum(bytes(piece).count(b"\n") for piece in batch.pieces)
            assert reader.health().last_error is None, reader.health()
        return length, lines

    return asyncio.run(read())


def count_by_lake(job: dict[str, Any]) -> tuple[int, int]:
    """Read the store without brokers, every byte verified."""
    from gazette_py.lake import Lake

    async def read() -> tuple[int, int]:
        length = lines = 0
        async with Lake(job["store"]) as lake:
            async for piece in lake.read(job["journal"]):
                length += len(piece)
                lines += piece.count(b"\n")
        return length, lines

    return asyncio.run(read())


def count_by_boto3(job: dict[str, Any]) -> tuple[int, int]:
    """Read as a script would: one object after the other, nothing verified."""
    import zlib

    import boto3
    import zstandard

    s3 = boto3.client("s3", endpoint_url=job["s3"], region_name=job["region"])
    length = lines = 0
    listed = s3.get_paginator("list_objects_v2").paginate(
        Bucket=job["bucket"], Prefix=f"{job['prefix']}{job['journal']}/"
    )
    for key in sorted(entry["Key"] for page in listed for entry in page.get("Contents", ())):
        body = s3.get_object(Bucket=job["bucket"], Key=key)["Body"]
        decoder: Any = None
        if key.endswith(".zst"):
            decoder = zstandard.ZstdDecompressor().decompressobj()
        elif key.endswith(".gz"):
            decoder = zlib.decompressobj(31)
        for chunk in body.iter_chunks(1 << 18):
            content = chunk if decoder is None else decoder.decompress(chunk)
            length += len(content)
            lines += content.count(b"\n")
    return length, lines


def count_by_duckdb(job: dict[str, Any]) -> tuple[int, int]:
    """Read the same files from the disk below the S3 server, with all of DuckDB's threads."""
    import duckdb

    path = f"{job['directory']}/{job['journal']}/*"
    found = duckdb.sql(
        f"SELECT count(*), sum(strlen(line) + 1) FROM read_csv('{path}', header = false,"
        " columns = {'line': 'VARCHAR'}, delim = '\x01', quote = '', escape = '',"
        " auto_detect = false)"
    ).fetchall()
    return int(found[0][1]), int(found[0][0])


IMPORTS = {
    "reader": ["gazette_py.client"],
    "lake": ["gazette_py.lake"],
    "boto3": ["boto3", "zstandard"],
    "duckdb": ["duckdb"],
}
READERS = {
    "reader": count_by_reader,
    "lake": count_by_lake,
    "boto3": count_by_boto3,
    "duckdb": count_by_duckdb,
}


def main() -> None:
    """Read, and print what it cost."""
    job = json.loads(sys.argv[2])
    for name in IMPORTS[sys.argv[1]]:
        importlib.import_module(name)  # How long that takes says nothing about reading.
    begin, begin_cpu = time.perf_counter(), time.process_time()
    length, lines = READERS[sys.argv[1]](job)
    cost = {
        "length": length,
        "lines": lines,
        "seconds": time.perf_counter() - begin,
        "cpu_s": time.process_time() - begin_cpu,
        "rss_bytes": _peak_rss_bytes(),
    }
    print(json.dumps(cost))


def _peak_rss_bytes() -> int:
    # Not `ru_maxrss`: that begins with the peak of the process which started us.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel tells no peak")


if __name__ == "__main__":
    main()
