"""Journals as files: read from their fragments in the store, without a broker.

    async with Lake("s3://bucket/prefix/") as lake:
        async for piece in lake.read("a/journal"):
            ...

What appends have not been persisted yet is not there. Content is as it was acknowledged: whole
appends, in order, each byte once.
"""

from gazette_py.lake.cover import Gap, Slice, cover, cover_with_whole_files
from gazette_py.lake.files import Lake
from gazette_py.protocol.watermark import Watermark

__all__ = ["Gap", "Lake", "Slice", "Watermark", "cover", "cover_with_whole_files"]
