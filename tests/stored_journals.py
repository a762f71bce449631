"""A journal of an in-process broker, whose files a test writes into a real store, good or bad."""

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

from broker_in_process import InProcess

from gazette_py.broker.replica import Replica
from gazette_py.codecs import compressor
from gazette_py.protocol.enums import CompressionCodec
from gazette_py.protocol.fragment import Fragment, content_path
from gazette_py.stores.base import Store
from gazette_py.stores.fragments import list_fragments

JOURNAL = "a/journal"


@dataclass
class StoredJournal:
    """The journal, and the store which its files are in."""

    broker: InProcess
    replica: Replica
    url: str
    directory: Path  # Where files of the store lie on this machine.

    @property
    def store(self) -> Store:
        return self.broker.service.store(self.url).store

    def path(self, fragment: Fragment) -> Path:
        """Return the path of a fragment's file on this machine."""
        return self.directory / content_path(fragment)

    async def put(
        self,
        begin: int,
        content: bytes,
        codec: CompressionCodec = CompressionCodec.NONE,
        *,
        written_as: CompressionCodec | None = None,
    ) -> Fragment:
        """Write the file of a fragment.

        Args:
            begin: Its first offset.
            content: What it holds.
            codec: Which its name tells.
            written_as: Which it is really compressed by.
        """
        coder = compressor(written_as or codec)
        packed = coder.compress(content) + coder.flush()
        fragment = Fragment(
            journal=JOURNAL,
            begin=begin,
            end=begin + len(content),
            sum=hashlib.sha1(content).digest(),
            compression_codec=codec,
        )
        await self.store.put(content_path(fragment), lambda: io.BytesIO(packed), len(packed))
        return replace(fragment, backing_store=self.url)

    async def put_all(
        self, content: bytes, length: int, codec: CompressionCodec = CompressionCodec.NONE
    ) -> list[Fragment]:
        """Write content as fragments of a length."""
        return [
            await self.put(begin, content[begin : begin + length], codec)
            for begin in range(0, len(content), length)
        ]

    async def refresh(self, older_s: int = 0) -> None:
        """Have the broker list the store, as it does from time to time.

        Args:
            older_s: Show files as if they had been stored so much earlier.
        """
        entries = await list_fragments(JOURNAL, [(self.url, self.store)], lambda name: False)
        self.replica.replace_remote(
            [
                replace(
                    entry,
                    fragment=replace(entry.fragment, mod_time=entry.fragment.mod_time - older_s),
                )
                for entry in entries
            ]
        )

    def append(self, begin: int, content: bytes) -> Fragment:
        """Show content in the broker's spool."""
        file = self.broker.spools.open(JOURNAL, begin)
        file.write(0, content)
        fragment = Fragment(
            journal=JOURNAL,
            begin=begin,
            end=begin + len(content),
            sum=hashlib.sha1(content).digest(),
        )
        self.replica.index.spool_commit(fragment, file)
        self.replica._announce_index()  # As a commit does.
        return fragment


async def stored_journal(broker: InProcess, url: str, directory: Path) -> StoredJournal:
    """Serve a journal whose files are in a store."""
    replica = await broker.serve(JOURNAL)
    return StoredJournal(broker, replica, url, directory)
