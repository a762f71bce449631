"""Stored files of journals as a list for other programs: which hold each byte once, and where.

Pure. A list is of the moment: files which are stored later are not in it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from gazette_py.core.fragment_index import IndexEntry
from gazette_py.errors import ValidationError
from gazette_py.lake.cover import Gap, Slice, cover, cover_with_whole_files
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.fragments import stored_path


@dataclass(frozen=True, slots=True)
class JournalFiles:
    """Files which hold a journal's stored content once, in its order, and what is in none."""

    slices: tuple[Slice, ...]
    gaps: tuple[Gap, ...]
    is_whole: bool  # Nothing of any file has to be left out.


def list_files(files: Sequence[IndexEntry], begin: int) -> JournalFiles:
    """Choose files from an offset on: whole ones if they can hold each byte once.

    Where they cannot, as where files overlap, slices tell how many bytes to leave out.
    """
    whole = cover_with_whole_files(files, begin)
    if whole is not None:
        return JournalFiles(tuple(Slice(file, 0) for file in whole), (), True)
    parts = cover(files, begin)
    slices = tuple(part for part in parts if isinstance(part, Slice))
    gaps = tuple(part for part in parts if isinstance(part, Gap))
    return JournalFiles(slices, gaps, all(part.skip == 0 for part in slices))


def url_of(file: IndexEntry, file_root: str) -> str:
    """Return the URL of a stored file, as programs spell it which know nothing of journals.

    Args:
        file: The store which it names is looked at.
        file_root: Directory of file:// stores; "" if it is not known.

    Raises:
        ValidationError: The store is a directory which is not known.
    """
    url = StoreURL.parse(file.fragment.backing_store)
    path = url.path + url.rewrite(stored_path(file))
    if url.scheme == "file":
        if not file_root:
            raise ValidationError(
                "--file-root", "the store is a directory of the brokers: give it as it is here"
            )
        return "file://" + os.path.join(os.path.abspath(file_root), path.lstrip("/"))
    if url.scheme == "azure-ad":
        return f"abfss://{url.container}@{url.account}.dfs.core.windows.net{path}"
    return f"{url.scheme}://{url.host}{path}"
