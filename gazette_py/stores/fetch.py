"""Reads objects by signed URL, as who has no credentials of the store: clients, and health checks.

Bounds: a request connects in 5 s, no read of its answer waits over 30 s, and it is tried 3 times
until its answer begins.
"""

import functools
import os
from typing import BinaryIO, Final

import urllib3
from urllib3.exceptions import HTTPError

from gazette_py.errors import (
    StoreDeniedError,
    StoreError,
    StoreMissingError,
    StoreUnavailableError,
)
from gazette_py.stores.base import ObjectStream
from gazette_py.stores.paths import join_below
from gazette_py.stores.s3_answers import classify, is_still_gzip
from gazette_py.stores.threads import FileChunks, Threads

_THREADS_MAX: Final = 16
_RETRY: Final = urllib3.Retry(
    total=2, status_forcelist=(500, 502, 503, 504), backoff_factor=0.1, raise_on_status=False
)


class UrlFetcher:
    """Opens `http`, `https` and, below its file root, `file` URLs."""

    def __init__(
        self, *, file_root: str = "", connect_timeout_s: float = 5, read_timeout_s: float = 30
    ) -> None:
        self._file_root = os.path.abspath(file_root) if file_root else ""
        timeout = urllib3.Timeout(connect=connect_timeout_s, read=read_timeout_s)
        self._pool = urllib3.PoolManager(maxsize=_THREADS_MAX, timeout=timeout, retries=_RETRY)
        self._threads = Threads("fetch", _THREADS_MAX)

    async def open(self, url: str) -> ObjectStream:
        """Open the object, and leave its bytes as they are sent.

        Raises:
            StoreMissingError: There is no such object (any more).
            StoreDeniedError: The signature is refused or over, or a file is outside of the root.
            StoreUnavailableError: The store does not answer.
        """
        if url.startswith("file://"):
            return await self._open_file(url)
        if url.startswith(("http://", "https://")):
            return await self._open_http(url)
        raise _error(StoreDeniedError, url, "not an http, https or file URL")

    async def close(self) -> None:
        """Close idle connections, and end the threads."""
        self._threads.close()
        self._pool.clear()

    async def _open_http(self, url: str) -> ObjectStream:
        def call() -> urllib3.BaseHTTPResponse:
            # Identity: else a store which encodes on the fly would send what was not stored.
            headers = {"Accept-Encoding": "identity"}
            return self._pool.request(
                "GET", url, headers=headers, preload_content=False, decode_content=False
            )

        translate = functools.partial(_unavailable, url)
        try:
            answer = await self._threads.run(call, discard=lambda late: late.close())
        except (HTTPError, OSError) as exc:
            raise translate(exc) from exc
        if answer.status != 200:
            answer.close()
            raise _error(classify(answer.status, ""), url, f"HTTP {answer.status}")
        encoding = "gzip" if is_still_gzip(answer.headers.get("Content-Encoding", "")) else ""
        return ObjectStream(
            encoding, FileChunks(self._threads, answer, translate, (HTTPError, OSError))
        )

    async def _open_file(self, url: str) -> ObjectStream:
        if not self._file_root:
            raise _error(StoreDeniedError, url, "no file root is set for file URLs")
        # The URL has the path as it is, without percent-encoding, like the broker which signed it.
        path = join_below(self._file_root, url.removeprefix("file://"))
        if path is None:
            raise _error(StoreDeniedError, url, "the path leaves the file root")

        def call() -> BinaryIO:
            return open(path, "rb", buffering=0)

        try:
            file = await self._threads.run(call, discard=lambda late: late.close())
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise _error(StoreMissingError, url, str(exc)) from exc
        except PermissionError as exc:
            raise _error(StoreDeniedError, url, str(exc)) from exc
        except OSError as exc:
            raise _unavailable(url, exc) from exc
        translate = functools.partial(_unavailable, url)
        return ObjectStream("", FileChunks(self._threads, file, translate, (OSError,)))


def _unavailable(url: str, exc: Exception) -> StoreError:
    # urllib3 spells the URL in its errors, and with it the signature, which must stay secret.
    detail = str(exc).replace(url.partition("?")[2], "...") if "?" in url else str(exc)
    return _error(StoreUnavailableError, url, detail)


def _error(kind: type[StoreError], url: str, detail: str) -> StoreError:
    unsigned = url.partition("?")[0]
    return kind(unsigned, "fetch", "", detail)
