"""Large payloads beside the journal: the store has them under their hash, the journal a reference.

    async with ClaimCheck("s3://bucket/payloads/") as claims:
        await client.append("acme/images", await claims.check_in(image))
        ...
        image = await claims.check_out(record)

A payload below the threshold is the record itself. One above it is put at `_claims/SHA256` of the
store, once, whoever has it again, and its record is a line of JSON. Nothing is ever written over.
Whoever reads records without this sees which are references, and can fetch the file by its name.

Invariants:
    CC1  A payload is in the store before its reference is returned, and so before it is appended.
    CC2  What is checked out has the hash and the length which the reference tells.
    CC3  `check_out(check_in(payload))` is the payload, also of one which looks like a reference.

Payloads are not removed. A rule of the bucket can, or whoever knows that no journal refers to them.
"""

import hashlib
import io
import json
import re
from contextlib import aclosing
from typing import Self

from gazette_py.clock import SYSTEM
from gazette_py.errors import ClaimError, StoreMissingError
from gazette_py.stores.registry import StoreRegistry

THRESHOLD_BYTES = 256 << 10

_REFERENCE = re.compile(
    rb'\{"claim": "sha256:(?P<hash>[0-9a-f]{64})", "bytes": (?P<length>\d+)\}\n'
)


class ClaimCheck:
    """Checks payloads in and out, of one store.

    Args:
        store: Its URL, as journal specs spell it. It need not be one of a journal.
        file_root: Directory which roots file:// stores.
        threshold_bytes: Payloads of so many bytes, or more, go to the store.
    """

    def __init__(
        self, store: str, *, file_root: str = "", threshold_bytes: int = THRESHOLD_BYTES
    ) -> None:
        self._registry = StoreRegistry(SYSTEM, file_root=file_root)
        self._url = store
        self._threshold_bytes = threshold_bytes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._registry.close()

    async def check_in(self, payload: bytes) -> bytes:
        """Return the record to append: the payload, or a reference to it, once it is stored.

        Raises:
            StoreError: The store does not take it.
        """
        if len(payload) < self._threshold_bytes and not _REFERENCE.fullmatch(payload):
            return payload
        digest = hashlib.sha256(payload).hexdigest()
        store, path = self._registry.get(self._url).store, _path(digest)
        if not await store.exists(path):
            await store.put(path, lambda: io.BytesIO(payload), len(payload))
        reference = {"claim": f"sha256:{digest}", "bytes": len(payload)}
        return json.dumps(reference).encode() + b"\n"

    async def check_out(self, record: bytes) -> bytes:
        """Return the payload of a record.

        Raises:
            ClaimError: The store does not have it, or has something else in its place.
            StoreError: The store does not answer.
        """
        found = _REFERENCE.fullmatch(record)
        if found is None:
            return record
        digest, length = found["hash"].decode(), int(found["length"])
        store, path = self._registry.get(self._url).store, _path(digest)
        try:
            stream = await store.get(path)
        except StoreMissingError as exc:
            raise ClaimError(self._url, path, "is not in the store") from exc
        summed, pieces, received = hashlib.sha256(), [], 0
        async with aclosing(stream.chunks) as chunks:
            async for piece in chunks:
                received += len(piece)
                summed.update(piece)
                pieces.append(piece)
                if received > length:
                    break
        if received != length:
            raise ClaimError(self._url, path, f"has not the {length} bytes which were checked in")
        if summed.hexdigest() != digest:
            raise ClaimError(self._url, path, f"has the hash {summed.hexdigest()}")
        return b"".join(pieces)


def _path(digest: str) -> str:
    return f"_claims/{digest}"
