"""`journalctl lake`: journals as files, for programs which know nothing of journals."""

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from gazette_py.cli.errors import usage
from gazette_py.cli.examples import GroupWithExamples
from gazette_py.cli.options import Broker, Selection, Verb, broker_options, run, selection_options

if TYPE_CHECKING:
    from gazette_py.core.fragment_index import IndexEntry

_FORMATS = ("auto", "json", "csv", "lines")


@click.group(
    "lake",
    cls=GroupWithExamples,
    epilog="journalctl lake sql acme/orders --file-root data/fragments",
)
def command() -> None:
    """Journals as files, for programs which know nothing of journals."""


@command.command(
    "sql",
    cls=Verb,
    epilog="""
    journalctl lake sql acme/orders --file-root data/fragments
    journalctl lake sql -l env=prod --file-root data/fragments --format lines
    journalctl lake sql acme/orders --store file:/// --file-root data/fragments --format lines
    """,
)
@selection_options
@click.option(
    "--file-root", metavar="DIR", default="", help="Directory of file:// stores, as DuckDB sees it."
)
@click.option(
    "--store",
    metavar="URL",
    default="",
    help="List this store, and ask no broker. Journals are named one by one.",
)
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
    selection.require()
    if store:
        _print_of_store(selection, file_root, store, form)
    else:
        run(_print_of_brokers(selection, file_root, form, broker))


def _print_of_store(selection: Selection, file_root: str, store: str, form: str) -> None:
    from gazette_py.lake import Lake

    if selection.selector is not None or any(name.endswith("/") for name in selection.names):
        raise usage("journals", "a store cannot tell which there are", "Name each journal in full.")

    root = os.path.abspath(file_root)

    async def work() -> "dict[str, list[IndexEntry]]":
        async with Lake(store, file_root=root) as lake:
            return {name: await lake.files(name, selection.names) for name in selection.names}

    found = run(work())
    _print(found, {}, file_root, "json" if form == "auto" else form)


async def _print_of_brokers(
    selection: Selection, file_root: str, form: str, broker: Broker
) -> None:
    from gazette_py.core.fragment_index import IndexEntry
    from gazette_py.lake.content_types import format_name_of

    async with broker.connect() as client:
        journals = (await selection.list(client)).journals
        if form == "auto":
            form = format_name_of(
                {j.spec.name: j.spec.labels.value_of("content-type") for j in journals}
            )
        files, heads = {}, {}
        for journal in journals:
            name = journal.spec.name
            files[name] = [
                IndexEntry(listed.fragment)
                async for listed in client.fragments(name)
                if listed.fragment.backing_store
            ]
            heads[name] = await client.write_head(name)
    _print(files, heads, file_root, form)


def _print(
    files: "dict[str, list[IndexEntry]]", heads: dict[str, int], file_root: str, form: str
) -> None:
    from gazette_py.lake.sql import select, whole_files

    chosen: list[IndexEntry] = []
    for journal, listed in files.items():
        if not listed and any(files.values()):
            click.echo(f"-- {journal}: nothing of it is stored yet.")
            continue
        whole = whole_files(journal, listed)
        end = whole[-1].end
        click.echo(f"-- {journal}: offsets 0 to {end}, in {len(whole)} files.")
        if end < heads.get(journal, end):
            click.echo(f"-- {journal}: offsets {end} to {heads[journal]} are in no file yet.")
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
