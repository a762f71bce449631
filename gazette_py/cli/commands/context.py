"""`journalctl context`: clusters by name.

It writes the file of contexts as its user left it, comments and all, and whole or not at all.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gazette_py.cli.errors import usage
from gazette_py.cli.examples import GroupWithExamples
from gazette_py.cli.options import output_options
from gazette_py.cli.render import Column, Output
from gazette_py.cli.settings import (
    ContextFile,
    check_setting,
    complete_contexts,
    context_options,
    contexts_of,
    parse_contexts,
    settings_of,
)
from gazette_py.cli.verb import Verb
from gazette_py.cli.whole_file import write_whole

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


@click.group(
    "context",
    cls=GroupWithExamples,
    epilog="""
    journalctl context set dev address=$BROKER_ADDRESS
    journalctl context use dev
    """,
)
def command() -> None:
    """Clusters by name.

    A context has settings of the connection, which stand in for flags and variables that are not
    given. Contexts are in a file, gazette/journalctl.toml in $XDG_CONFIG_HOME or ~/.config.
    """


@command.command(
    "list",
    cls=Verb,
    epilog="""
    journalctl context list
    journalctl context list -o json
    """,
)
@output_options()
@context_options
@click.pass_context
def list_contexts(ctx: click.Context, output: Output) -> None:
    """List contexts; the one in use has a star."""
    file = contexts_of(ctx)
    in_use = settings_of(ctx).context
    items = [
        {"name": name, "is_current": name == in_use, **values}
        for name, values in file.contexts.items()
    ]
    output.print_items("ContextList", items, _COLUMNS)
    if not items and output.is_for_people:
        click.echo(f"There are no contexts in {file.path}.", err=True)


_COLUMNS = (
    Column("CURRENT", lambda item: "*" if item["is_current"] else ""),
    Column("NAME", lambda item: item["name"]),
    Column("ADDRESS", lambda item: item.get("address", "")),
    Column("ZONE", lambda item: item.get("zone", "")),
    Column("PROTECTED", lambda item: "yes" if item.get("protected") else ""),
)


@command.command(
    "set",
    cls=Verb,
    epilog="""
    journalctl context set dev address=$BROKER_ADDRESS
    journalctl context set prod address=https://gazette:8080 ca=ca.pem protected=true
    journalctl context set prod zone=eu-west-1a ca-        # drops it
    """,
)
@click.argument("name", shell_complete=complete_contexts)
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE|KEY-...")
@context_options
@click.pass_context
def set_context(ctx: click.Context, name: str, changes: tuple[str, ...]) -> None:
    r"""Set and drop settings of a context, which is made if there is none.

    \b
    address, zone, cache_size, cache_ttl, request_timeout: as the options of commands.
    auth_token_file, auth_keys_file, ca, cert, key: files; relative ones are made absolute.
    etcd, etcd_prefix: the brokers' etcd.
    protected: if true, commands which change something ask for the context's name.
    """
    file = contexts_of(ctx)
    document = _document(file)
    table = document.setdefault("context", _super_table()).setdefault(name, {})
    for change in changes:
        key, equals, text = change.partition("=")
        if equals:
            check_setting(f"context {name}", key, value := _value(key, text))
            table[key] = value
        elif not change.endswith("-") or change[:-1] not in table:
            raise usage(f"context {name}", f"{change!r} is no change", "Write KEY=VALUE, or KEY-.")
        else:
            del table[change[:-1]]
    _write(file.path, document.as_string())
    click.echo(f"Context {name} is in {file.path}.", err=True)


@command.command(
    "use",
    cls=Verb,
    epilog="""
    journalctl context use dev
    journalctl context use none                 # flags, variables and defaults only
    """,
)
@click.argument("name", shell_complete=complete_contexts)
@context_options
@click.pass_context
def use_context(ctx: click.Context, name: str) -> None:
    """Choose the context which is used if none is named; `none` is none."""
    import tomlkit

    file = contexts_of(ctx)
    document = _document(file)
    document.pop("current", None)
    text = document.as_string()
    if name != "none":
        file.get(name)
        # A key of the document itself must stand before its tables.
        text = tomlkit.dumps({"current": name}) + text
    _write(file.path, text)


@command.command(
    "show",
    cls=Verb,
    epilog="""
    journalctl context show --context dev
    journalctl context show dev
    """,
)
@click.argument("name", required=False, shell_complete=complete_contexts)
@context_options
@click.pass_context
def show_context(ctx: click.Context, name: str | None) -> None:
    """Print a context, or that in use, as it is in the file."""
    file = contexts_of(ctx)
    name = name or settings_of(ctx).context
    if not name:
        raise usage("context", "none is in use", "Name one; `journalctl context list` has them.")
    import tomlkit

    shown = tomlkit.document()
    shown["context"] = _super_table()
    shown["context"][name] = dict(file.get(name))
    click.echo(tomlkit.dumps(shown), nl=False)


@command.command(
    "delete",
    cls=Verb,
    epilog="""
    journalctl context delete dev
    """,
)
@click.argument("name", shell_complete=complete_contexts)
@context_options
@click.pass_context
def delete_context(ctx: click.Context, name: str) -> None:
    """Delete a context."""
    file = contexts_of(ctx)
    file.get(name)
    document = _document(file)
    del document["context"][name]
    if document.get("current") == name:
        del document["current"]
    _write(file.path, document.as_string())


def _value(key: str, text: str) -> str | int | bool:
    if key == "protected":
        if text not in ("true", "false"):
            raise usage("protected", f"{text!r} is neither true nor false")
        return text == "true"
    if key in ("auth_token_file", "auth_keys_file", "ca", "cert", "key") and text:
        return str(Path(text).expanduser().absolute())
    return int(text) if key == "cache_size" and text.isdecimal() else text


def _document(file: ContextFile) -> "TOMLDocument":
    import tomlkit

    return tomlkit.parse(file.path.read_text("utf-8")) if file.path.exists() else tomlkit.document()


def _super_table() -> Any:
    """Return a table whose own header is not written: [context.prod] is enough."""
    import tomlkit

    return tomlkit.table(is_super_table=True)


def _write(path: Path, text: str) -> None:
    parse_contexts(text, path)  # What we would not read is not written.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise usage(f"directory {path.parent}", f"it cannot be made: {exc.strerror}") from exc
    write_whole(path, text)
