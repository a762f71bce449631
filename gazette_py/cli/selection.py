"""Which journals a command is about: its options, and what they select."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gazette_py.cli.completing import complete_journals
from gazette_py.cli.errors import no_match, usage
from gazette_py.cli.options import with_options
from gazette_py.errors import ValidationError

if TYPE_CHECKING:
    # They bring in gRPC, which `--help` must not wait for.
    from gazette_py.client.client import Client
    from gazette_py.client.listing import ListResult
    from gazette_py.protocol.labels import LabelSelector

_F = TypeVar("_F", bound=Callable[..., Any])


_SELECTOR = click.option(
    "-l",
    "--selector",
    "selector",
    metavar="SELECTOR",
    help="Journals by their labels, such as 'env=prod, name:prefix=acme/'.",
)
_ALLOW_EMPTY = click.option(
    "--allow-empty", is_flag=True, help="It is no error if nothing is selected."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which journals a command is about: names, and names of directories; or a selector."""

    names: tuple[str, ...]
    selector: str | None
    allow_empty: bool

    @property
    def is_everything(self) -> bool:
        """Tell whether nothing restricts it."""
        return not self.names and not (self.selector or "").strip()

    def require(self) -> None:
        """Refuse a selection which was left out, though nobody means all journals by that."""
        if not self.names and self.selector is None:
            raise usage(
                "journals",
                "neither a NAME nor a selector was given",
                "Name journals, or directories such as acme/, or select them by -l;"
                " -l '' selects all.",
            )

    def label_selector(self) -> "LabelSelector":
        """Return it in the brokers' terms."""
        from gazette_py.protocol.labels import Label, LabelSelector, LabelSet, validate_selector
        from gazette_py.protocol.selector_text import parse_selector

        if self.names and self.selector is not None:
            raise usage("journals", "both names and -l were given", "Give one of them.")
        if self.names:
            wanted = {Label("name", name, name.endswith("/")) for name in self.names}
            return LabelSelector(LabelSet(tuple(sorted(wanted))))
        try:
            selector = parse_selector(self.selector or "")
            validate_selector(selector)
            return selector
        except ValidationError as exc:
            raise usage(
                f"selector {self.selector!r}",
                exc.reason,
                "A selector is like 'env=prod, region in (eu, us), !internal'.",
            ) from exc

    async def list(self, client: "Client") -> "ListResult":
        """Return the journals now.

        Raises:
            CommandError: There are none, or not all that were named.
        """
        result = await client.list(self.label_selector())
        found = [journal.spec.name for journal in result.journals]
        missing = [name for name in self.names if not _is_found(name, found)]
        if missing and not self.allow_empty:
            raise no_match(
                f"journal {missing[0]}",
                "no journal is below this name"
                if missing[0].endswith("/")
                else "it does not exist, or is not visible to us",
                "`journalctl list` names those which exist; a directory's name ends in '/'.",
            )
        if not found and not self.allow_empty:
            raise no_match(
                f"selector {self.selector!r}",
                "no journal matches",
                "`journalctl list` shows all; --allow-empty makes this a success.",
            )
        return result


def _is_found(name: str, found: Iterable[str]) -> bool:
    if name.endswith("/"):
        return any(journal.startswith(name) for journal in found)
    return name in found


def selection_options(command: _F) -> _F:
    """Give a command `NAME...`, `-l` and `--allow-empty`, and a parameter `selection` for them."""

    @wraps(command)
    def with_selection(
        *args: Any,
        names: tuple[str, ...],
        selector: str | None,
        allow_empty: bool,
        **kwargs: Any,
    ) -> Any:
        selection = Selection(names=names, selector=selector, allow_empty=allow_empty)
        return command(*args, selection=selection, **kwargs)

    argument = click.argument(
        "names", nargs=-1, metavar="[NAME]...", shell_complete=complete_journals
    )
    return with_options(with_selection, (argument, _SELECTOR, _ALLOW_EMPTY))
