"""Client of journal brokers: append, read, list, change.

    async with connect("http://localhost:8080") as client:
        result = await client.append("examples/a", b"hello")
        async with client.reader("examples/a", offset=result.commit.begin) as reader:
            async for batch in reader.lines():
                ...

Every error is a `gazette_py.errors.GazetteError`.
"""

from gazette_py.client.append import AppendResult, Content
from gazette_py.client.append_service import Appended, AppendService, PendingAppend
from gazette_py.client.batches import Batch, LineBatch
from gazette_py.client.change import Change
from gazette_py.client.claim_check import ClaimCheck
from gazette_py.client.client import Client, ListedFragment, connect
from gazette_py.client.inspection import Inspected, InspectedBroker, InspectedReplica
from gazette_py.client.listing import ListedJournal, ListResult
from gazette_py.client.reader import Reader, ReaderHealth
from gazette_py.client.view import JournalChange, JournalView
from gazette_py.core.journal_changes import Added, Changed, Removed
from gazette_py.core.read_plan import Source

__all__ = [
    "Added",
    "AppendResult",
    "AppendService",
    "Appended",
    "Batch",
    "Change",
    "Changed",
    "ClaimCheck",
    "Client",
    "Content",
    "Inspected",
    "InspectedBroker",
    "InspectedReplica",
    "JournalChange",
    "JournalView",
    "LineBatch",
    "ListResult",
    "ListedFragment",
    "ListedJournal",
    "PendingAppend",
    "Reader",
    "ReaderHealth",
    "Removed",
    "Source",
    "connect",
]
