"""What `suspend` and `resume` print: journals, and whether they are suspended."""

from typing import TYPE_CHECKING

from gazette_py.cli.render import Column
from gazette_py.cli.selection import Selection
from gazette_py.protocol.enums import SuspendLevel

if TYPE_CHECKING:
    from gazette_py.client.client import Client

COLUMNS = (
    Column("NAME", lambda item: item["name"]),
    Column("STATUS", lambda item: item["status"]),
    Column("OFFSET", lambda item: "" if item["offset"] is None else item["offset"]),
)


async def suspension_items(client: "Client", selection: Selection) -> dict[str, dict[str, object]]:
    """Return an item for each journal: its name, status, and where it goes on."""
    items: dict[str, dict[str, object]] = {}
    for journal in (await client.list(selection.label_selector())).journals:
        suspend = journal.spec.suspend
        is_suspended = suspend.level is not SuspendLevel.NONE
        items[journal.spec.name] = {
            "name": journal.spec.name,
            "status": f"suspended:{suspend.level.name.lower()}" if is_suspended else "ok",
            "offset": suspend.offset if is_suspended else None,
        }
    return items


def not_suspended(item: dict[str, object]) -> dict[str, object]:
    """Return the item of a journal which was to be suspended, and was not."""
    return item | {"status": "not-flushed"}
