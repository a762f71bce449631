"""`journalctl lake`: journals as files, for programs which know nothing of journals.

Files are listed by brokers, or in a store; none is read or changed.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from gazette_py.cli.connection import Broker, broker_options
from gazette_py.cli.errors import CommandError, ExitCode, Failure, usage
from gazette_py.cli.examples import GroupWithExamples
from gazette_py.cli.options import output_options
from gazette_py.cli.quantities import format_time
from gazette_py.cli.render import API_VERSION, Column, Output, jsonable
from gazette_py.cli.selection import Selection, selection_options
from gazette_py.cli.verb import Verb, run
from gazette_py.cli.whole_file import write_whole
from gazette_py.clock import SYSTEM

if TYPE_CHECKING:
    from gazette_py.core.fragment_index import IndexEntry
    from gazette_py.lake.cover import Slice
    from gazette_py.lake.file_list import JournalFiles

_F = TypeVar("_F", bound=Callable[..., Any])

_FORMATS = ("auto", "json", "csv", "lines")


@click.group(
    "lake",
    cls=GroupWithExamples,
    epilog="journalctl lake sql acme/orders --file-root data/fragments",
)
def command() -> None:
    """Journals as files, for programs which know nothing of journals."""


def _source_options(command: _F) -> _F:
    """Give a command what says which files: of which journals, told by brokers or by a store."""
    for option in (
        click.option(
            "--store",
            metavar="URL",
            default="",
            help="List this store, and ask no broker. Journals are named one by one.",
        ),
        click.option(
            "--file-root",
            metavar="DIR",
            default="",
            help="Directory of file:// stores, as other programs see it.",
        ),
        selection_options,
    ):
        command = option(command)
    return command


@command.command(
    "sql",
    cls=Verb,
    epilog="""
    journalctl lake sql acme/orders --file-root data/fragments
    journalctl lake sql -l env=prod --file-root data/fragments --format lines
    journalctl lake sql acme/orders --store file:/// --file-root data/fragments --format lines
    """,
)
@_source_options
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="auto",
    show_default=True,
    help="Of the rows. auto: as the journal's label content-type says, else JSON.",
)
@broker_options
def sql(selection: Selection, file_root: str, store: str, form: str, broker: Broker) -> None:
    """Print a query of DuckDB over the stored files of journals, which needs nothing of ours.

    It names each file, so that each row is there once. Where files overlap, or have a gap, whole
    files do not hold each row once, and it is an error. Rows which are in no file yet are not in
    it; a comment tells from which offset on. Appends must hold whole lines.
    """
    listed = _listed(selection, file_root, store, broker)
    if form == "auto":
        from gazette_py.lake.content_types import format_name_of

        form = format_name_of(listed.content_types) if not store else "json"
    _print(listed, file_root, form)


@command.command(
    "files",
    cls=Verb,
    epilog="""
    journalctl lake files acme/orders --file-root data/fragments
    journalctl lake files acme/ --file-root data/fragments -o wide
    journalctl lake files acme/orders --store file:/// --file-root data/fragments -o jsonl
    """,
)
@_source_options
@click.option(
    "--whole-files-only",
    is_flag=True,
    help="End with 8 if files overlap, so that of some only a part may be read.",
)
@output_options()
@broker_options
def files(
    selection: Selection,
    file_root: str,
    store: str,
    whole_files_only: bool,
    output: Output,
    broker: Broker,
) -> None:
    """Print URLs of the files which hold the stored content of journals, each byte once.

    They are whole files where that can be. Where files overlap, `skip` tells how many bytes of one
    to leave out, after it was decompressed. What is missing is told on standard error.
    """
    found = _chosen(_listed(selection, file_root, store, broker))
    items = [
        _file_item(part, file_root) for of_journal in found.values() for part in of_journal.slices
    ]
    _tell_gaps(found)
    if whole_files_only:
        _require_whole(found)
    output.print_items("LakeFileList", items, _COLUMNS, name="url")


@command.command(
    "manifest",
    cls=Verb,
    epilog="""
    journalctl lake manifest acme/orders --file-root data/fragments
    journalctl lake manifest acme/orders --file-root data/fragments --to orders.json
    journalctl lake manifest -l env=prod --file-root data/fragments --format list --to files.txt
    """,
)
@_source_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "list"]),
    default="json",
    show_default=True,
    help="json: files with their offsets, sums and partitions, by journal. list: a URL on a line,"
    " as Hive's symlink tables have it.",
)
@click.option(
    "--to",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write this file, all at once, rather than standard output.",
)
@broker_options
def manifest(
    selection: Selection, file_root: str, store: str, form: str, to: Path | None, broker: Broker
) -> None:
    """Write which files hold the stored content of journals, for engines which read whole files.

    Each byte is in one of the files. Where that cannot be, since files overlap or content between
    them is missing, there is no manifest: it ends with 8.
    """
    found = _chosen(_listed(selection, file_root, store, broker))
    _tell_gaps(found)
    _require_whole(found)
    items = {
        name: [_file_item(part, file_root) for part in of_journal.slices]
        for name, of_journal in found.items()
    }
    if form == "list":
        text = "".join(f"{item['url']}\n" for of_journal in items.values() for item in of_journal)
    else:
        text = json.dumps(_manifest(items), indent=2, ensure_ascii=False) + "\n"
    if to is None:
        sys.stdout.write(text)
    else:
        write_whole(to, text)


_COLUMNS = (
    Column("URL", lambda item: item["url"]),
    Column("JOURNAL", lambda item: item["journal"], is_wide=True),
    Column("BEGIN", lambda item: item["begin"], is_wide=True),
    Column("END", lambda item: item["end"], is_wide=True),
    Column("SKIP", lambda item: item["skip"], is_wide=True),
    Column("CODEC", lambda item: item["compression_codec"], is_wide=True),
    Column("PERSISTED", lambda item: item["persisted"], is_wide=True),
    Column("SHA1", lambda item: item["sha1"], is_wide=True),
)


def _manifest(items: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    journals = [
        {
            "name": name,
            "begin": files[0]["begin"] if files else 0,
            "end": files[-1]["end"] if files else 0,
            "files": [
                {key: value for key, value in file.items() if key not in ("journal", "skip")}
                for file in files
            ],
        }
        for name, files in items.items()
    ]
    made = datetime.fromtimestamp(SYSTEM.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {"apiVersion": API_VERSION, "kind": "LakeManifest", "made": made}
    return document | {"journals": jsonable(journals)}


def _file_item(part: "Slice", file_root: str) -> dict[str, Any]:
    from gazette_py.lake.file_list import url_of
    from gazette_py.lake.snapshot import partitions_of

    fragment = part.file.fragment
    return {
        "url": url_of(part.file, file_root),
        "journal": fragment.journal,
        "begin": fragment.begin,
        "end": fragment.end,
        "skip": part.skip,
        "compression_codec": fragment.compression_codec.name,
        "persisted": format_time(fragment.mod_time),
        "sha1": fragment.sum.hex(),
        "partition": partitions_of(fragment.path_postfix),
    }


@dataclass(slots=True)
class _Listed:
    """Files of journals as they were listed; the rest is known to brokers alone."""

    files: "dict[str, list[IndexEntry]]" = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)
    content_types: dict[str, str] = field(default_factory=dict)


def _listed(selection: Selection, file_root: str, store: str, broker: Broker) -> _Listed:
    selection.require()
    if not store:
        return run(_listed_by_brokers(selection, broker))
    if selection.selector is not None or any(name.endswith("/") for name in selection.names):
        raise usage("journals", "a store cannot tell which there are", "Name each journal in full.")
    return run(_listed_by_store(selection.names, os.path.abspath(file_root), store))


async def _listed_by_store(names: tuple[str, ...], file_root: str, store: str) -> _Listed:
    from gazette_py.lake import Lake

    async with Lake(store, file_root=file_root) as lake:
        return _Listed(
            # Names with a dot before them are nobody's concern, and no part of the output.
            {name: await lake.files(name, names, on_skipped=lambda *_: None) for name in names}
        )


async def _listed_by_brokers(selection: Selection, broker: Broker) -> _Listed:
    from gazette_py.core.fragment_index import IndexEntry

    found = _Listed()
    async with broker.connect() as client:
        for journal in (await selection.list(client)).journals:
            name = journal.spec.name
            found.files[name] = [
                IndexEntry(listed.fragment)
                async for listed in client.fragments(name)
                if listed.fragment.backing_store
            ]
            found.heads[name] = await client.write_head(name)
            found.content_types[name] = journal.spec.labels.value_of("content-type")
    return found


def _beginning(files: "list[IndexEntry]") -> int:
    """Return where content begins, of which retention may have removed the first."""
    from gazette_py.lake.cover import beginning

    return beginning(files, 0, SYSTEM.now())


def _chosen(listed: _Listed) -> "dict[str, JournalFiles]":
    from gazette_py.lake.file_list import list_files

    return {name: list_files(files, _beginning(files)) for name, files in listed.files.items()}


def _tell_gaps(found: "dict[str, JournalFiles]") -> None:
    for name, of_journal in found.items():
        for gap in of_journal.gaps:
            click.echo(f"{name}: offsets {gap.begin} to {gap.end} are in no file.", err=True)


def _require_whole(found: "dict[str, JournalFiles]") -> None:
    for name, of_journal in found.items():
        if of_journal.gaps or not of_journal.is_whole:
            raise CommandError(
                Failure(
                    code=ExitCode.UNHEALTHY,
                    status="NO_WHOLE_FILES",
                    what=f"journal {name}",
                    detail="its files have a gap, or overlap, so that whole files do not hold each"
                    " byte once",
                    hints=("`journalctl lake files -o wide` tells what to skip of which file.",),
                )
            )


def _print(listed: _Listed, file_root: str, form: str) -> None:
    from gazette_py.lake.sql import select, whole_files

    chosen: list[IndexEntry] = []
    for journal, files in listed.files.items():
        if not files and any(listed.files.values()):
            click.echo(f"-- {journal}: nothing of it is stored yet.")
            continue
        begin = _beginning(files)
        whole = whole_files(journal, files, begin)
        end = whole[-1].end
        click.echo(f"-- {journal}: offsets {begin} to {end}, in {len(whole)} files.")
        if end < (head := listed.heads.get(journal, end)):
            click.echo(f"-- {journal}: offsets {end} to {head} are in no file yet.")
        chosen += whole
    for secret in sorted({_secret(file.fragment.backing_store) for file in chosen}):
        click.echo(secret, nl=False)
    paths = [_path(file, file_root) for file in chosen]
    click.echo(select(paths, [file.fragment.path_postfix for file in chosen], format=form) + ";")


def _path(file: "IndexEntry", file_root: str) -> str:
    from gazette_py.protocol.store_url import StoreURL
    from gazette_py.stores.fragments import stored_path

    url = StoreURL.parse(file.fragment.backing_store)
    path = url.path + url.rewrite(stored_path(file))
    if url.scheme == "s3":
        return f"s3://{url.host}{path}"
    if url.scheme != "file":
        raise usage(
            f"store {file.fragment.backing_store}",
            f"DuckDB does not read stores of scheme {url.scheme} by itself",
            "gazette_py.lake.duckdb reads them, through brokers.",
        )
    if not file_root:
        raise usage(
            "--file-root",
            "the store is a directory of the brokers",
            "Give the directory of file:// stores, as DuckDB sees it.",
        )
    return os.path.join(os.path.abspath(file_root), path.lstrip("/"))


def _secret(store: str) -> str:
    """Return the statement by which DuckDB finds a store and its credentials, or nothing."""
    from gazette_py.lake.sql import quoted
    from gazette_py.protocol.store_url import StoreURL

    url = StoreURL.parse(store)
    if url.scheme != "s3":
        return ""
    options = ["TYPE s3", "PROVIDER credential_chain", f"SCOPE {quoted(f's3://{url.host}')}"]
    if region := url.args.get("region"):
        options.append(f"REGION {quoted(region)}")
    if endpoint := url.args.get("endpoint"):
        parts = urlsplit(endpoint)
        options.append(f"ENDPOINT {quoted(parts.netloc)}")
        options.append("URL_STYLE 'path'")
        options.append(f"USE_SSL {str(parts.scheme == 'https').lower()}")
    return f"CREATE OR REPLACE SECRET ({', '.join(options)});\n"
