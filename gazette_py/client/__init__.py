"""Client of journal brokers: append, read, list, change.

    async with connect("http://localhost:8080") as client:
        result = await client.append("examples/a", b"hello")
        async for chunk in client.read("examples/a", offset=result.commit.begin):
            ...

Every error is a `gazette_py.errors.GazetteError`.
"""

from gazette_py.client.append import AppendResult, Content
from gazette_py.client.client import Change, Client, ListedFragment, connect
from gazette_py.client.inspection import Inspected, InspectedReplica
from gazette_py.client.listing import ListedJournal, ListResult
from gazette_py.client.reader import Reader

__all__ = [
    "AppendResult",
    "Change",
    "Client",
    "Content",
    "Inspected",
    "InspectedReplica",
    "ListResult",
    "ListedFragment",
    "ListedJournal",
    "Reader",
    "connect",
]
