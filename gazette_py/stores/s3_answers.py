"""What S3's answers mean: pages of a listing, and which errors an operator must act on.

Pure. Expat calls back per element, so a page of 1000 objects costs a few milliseconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote_plus
from xml.parsers import expat

from gazette_py.errors import (
    StoreDeniedError,
    StoreError,
    StoreMissingError,
    StoreUnavailableError,
)

_DENIED_CODES: Final = frozenset(("NoSuchBucket", "AccessDenied", "ExpiredToken", "InvalidToken"))
_BUSY_STATUSES: Final = (408, 409, 429)  # Ask again, though the status blames the client.
_BUSY_CODES: Final = frozenset(("RequestTimeout", "SlowDown"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedObject:
    """An object of a listing, by its whole key."""

    key: str
    mod_time: int  # Unix seconds.
    size: int


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of ListObjectsV2, and the token of the next one, or ""."""

    objects: tuple[ListedObject, ...]
    next_token: str


def classify(status: int, code: str) -> type[StoreError]:
    """Return the kind of an error from its HTTP status and S3's code, either of them 0 or ""."""
    if code in _DENIED_CODES:
        return StoreDeniedError
    if status == 404:
        return StoreMissingError
    if status in _BUSY_STATUSES or code in _BUSY_CODES:
        return StoreUnavailableError
    # Redirects are to the bucket's region, and stay until an operator names the right one.
    return StoreDeniedError if 300 <= status < 500 else StoreUnavailableError


def is_still_gzip(content_encoding: str) -> bool:
    """Tell whether the header says gzip, perhaps besides how S3 clients frame their uploads."""
    return "gzip" in (part.strip().lower() for part in content_encoding.split(","))


def parse_error(body: bytes) -> tuple[str, str]:
    """Return code and message of an error's body, empty if it has none."""
    fields: dict[str, str] = {}

    def on_leaf(_depth: int, name: str, text: str) -> None:
        fields.setdefault(name, text)

    try:
        _parse(body, on_leaf, lambda name: None)
    except expat.ExpatError:
        return "", ""
    return fields.get("Code", ""), fields.get("Message", "")


def parse_list_page(body: bytes) -> ListPage:
    """Return the objects of a page.

    Raises:
        ValueError: The body is no whole answer to ListObjectsV2.
    """
    page: dict[str, str] = {}  # Leaves below the root.
    item: dict[str, str] = {}  # Leaves of the object which is open.
    found: list[dict[str, str]] = []

    def on_leaf(depth: int, name: str, text: str) -> None:
        # Deeper leaves, as those of Owner, are not asked for, but some servers send them.
        if depth <= 2:
            (page if depth == 1 else item)[name] = text

    def on_end(name: str) -> None:
        nonlocal item
        if name == "Contents":
            found.append(item)
            item = {}

    try:
        root = _parse(body, on_leaf, on_end)
    except expat.ExpatError as exc:
        raise ValueError(f"malformed listing: {exc}") from exc
    if root != "ListBucketResult":
        raise ValueError(f"not a listing: {root}")
    is_encoded = page.get("EncodingType") == "url"
    try:
        objects = tuple(_listed(fields, is_encoded) for fields in found)
    except KeyError as exc:
        raise ValueError(f"an object of the listing has no {exc}") from exc
    next_token = page.get("NextContinuationToken", "")
    if page.get("IsTruncated") == "true" and not next_token:
        # To end here would hide fragments, and with them how far the journal goes.
        raise ValueError("the listing goes on, and does not say where")
    return ListPage(objects, next_token)


def _listed(fields: dict[str, str], is_encoded: bool) -> ListedObject:
    key = fields["Key"]
    return ListedObject(
        key=unquote_plus(key) if is_encoded else key,
        mod_time=int(datetime.fromisoformat(fields["LastModified"]).timestamp()),
        size=int(fields["Size"]),
    )


def _parse(
    body: bytes, on_leaf: Callable[[int, str, str], None], on_end: Callable[[str], None]
) -> str:
    """Report every element with text, at its depth below the root, and every end.

    Returns:
        The name of the root.
    """
    open_names: list[str] = []
    text: list[str] = []
    root = ""

    def on_start(name: str, _attributes: dict[str, str]) -> None:
        nonlocal root
        root = root or name
        open_names.append(name)
        text.clear()

    def on_close(name: str) -> None:
        if text:
            on_leaf(len(open_names) - 1, name, "".join(text))
            text.clear()
        open_names.pop()
        on_end(name)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_close
    parser.CharacterDataHandler = text.append
    parser.Parse(body, True)
    return root
