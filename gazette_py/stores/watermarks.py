"""Watermarks of journals in a store: written once each, listed, and read back."""

import io

from gazette_py.errors import StoreError, ValidationError
from gazette_py.protocol.watermark import Watermark, directory_of, path_of, time_of
from gazette_py.stores.base import Store


async def write_watermark(store: Store, watermark: Watermark) -> bool:
    """Write a watermark, unless there is one of its time: that one is as true. Tell if we did.

    Raises:
        StoreError: The store does not take it.
    """
    if await store.exists(watermark.path):
        return False
    content = watermark.to_json()
    await store.put(watermark.path, lambda: io.BytesIO(content), len(content))
    return True


async def watermark_times(store: Store, journal: str) -> list[int]:
    """Return the times of a journal's watermarks, in Unix seconds, ascending.

    Raises:
        StoreError: The store cannot be listed.
    """
    names = [info.name async for info in store.list(directory_of(journal))]
    return sorted(time for name in names if (time := time_of(name)) is not None)


async def read_watermark(store: Store, journal: str, time: int) -> Watermark:
    """Return the watermark of a time, in Unix seconds.

    Raises:
        StoreMissingError: There is none.
        StoreError: The store does not answer, or the file is no watermark.
    """
    path = path_of(journal, time)
    stream = await store.get(path)
    content = b"".join([chunk async for chunk in stream.chunks])
    try:
        return Watermark.from_json(content)
    except ValidationError as exc:
        raise StoreError(store.url, "get", path, str(exc)) from exc
