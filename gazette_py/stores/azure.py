"""Fragment store of a container of Azure's blob service, over its SDK in threads.

    azure://container/prefix/                       by the key of an account
    azure-ad://tenant/account/container/prefix/     by an application of Entra ID

The argument `endpoint` is the URL of another blob service than the account's own, as of an
emulator, whose path may name the account.

Bounds: a request connects in 5 s, no read of its answer waits over 30 s, and it is tried 3 times.
The SDK's own retries are off. An upload has at most 8 MiB in memory, and a download one chunk.
Source: gazette/core broker/stores/azure/{common,account,ad}.go.
"""

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, BinaryIO, Final, TypeVar

import requests
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient, ContentSettings

from gazette_py.clock import Clock
from gazette_py.errors import StoreDeniedError, StoreError, StoreMissingError, StoreUnavailableError
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.azure_access import Access, DirectoryAccess, KeyAccess
from gazette_py.stores.azure_answers import classify
from gazette_py.stores.base import ObjectInfo, ObjectStream, Store
from gazette_py.stores.s3_answers import is_still_gzip, parse_error
from gazette_py.stores.sessions import FOREIGN_ERRORS, may_pass, prepare
from gazette_py.stores.threads import FileChunks, Threads
from gazette_py.stores.tries import tried

_T = TypeVar("_T")

_THREADS_MAX: Final = 32  # As many as the persister uploads at once.
_BLOCK_BYTES: Final = 8 << 20  # Smaller blobs go in one request. 50,000 blocks hold any fragment.
_ARGUMENTS: Final = frozenset(("endpoint", "find", "replace"))
_SDK_ERRORS: Final = (AzureError, *FOREIGN_ERRORS)


class _AnswerError(Exception):
    """A GET of our own was refused."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class AzureStore(Store):
    """Blobs of one container, below the prefix of the URL's path.

    Raises:
        StoreDeniedError: An argument is unknown, or a variable which the credentials need is unset.
    """

    def __init__(
        self,
        url: StoreURL,
        clock: Clock,
        *,
        connect_timeout_s: float = 5,
        read_timeout_s: float = 30,
        page_objects_max: int = 5000,  # By the service.
    ) -> None:
        self.url = url.url
        self._parsed = url
        self._clock = clock
        self._timeout_s = (connect_timeout_s, read_timeout_s)
        self._page_objects_max = page_objects_max
        self._is_directory = url.scheme == "azure-ad"
        self._container = url.container if self._is_directory else url.host
        if unknown := sorted(set(url.args) - _ARGUMENTS):
            detail = f"unknown argument {', '.join(unknown)}"
            raise self._error(StoreDeniedError, "open", "store", detail)
        self._session = requests.Session()
        prepare(self._session, _THREADS_MAX)
        self._transport = RequestsTransport(
            session=self._session,
            session_owner=False,
            connection_timeout=connect_timeout_s,
            read_timeout=read_timeout_s,
        )
        try:
            self._access = self._open_access()
            self._service = self._open_service()
        except ValueError as exc:
            raise self._error(StoreDeniedError, "open", "store", str(exc)) from exc
        self._threads = Threads("store-azure", _THREADS_MAX)
        # Reads wait for signatures, which must not wait for uploads.
        self._sign_thread = Threads("store-azure-sign", 1)

    async def exists(self, path: str) -> bool:
        """Ask for the blob's properties."""

        def call() -> bool:
            self._blob(path).get_blob_properties()
            return True

        try:
            return await self._run("exists", path, call)
        except StoreMissingError:
            return False

    async def get(self, path: str) -> ObjectStream:
        """Open the blob by one GET. Its bytes are as they are stored."""

        def call() -> Any:
            key = self._key(path)
            with_us = self._access.authorize_get(self._service, self._container, key)
            url = f"{self._blob(path).url}?{with_us.query}".rstrip("?")
            headers = {**with_us.headers, "Accept-Encoding": "identity"}
            # The SDK's own download asks for ranges, and sleeps between hidden tries.
            answer = self._session.get(url, headers=headers, timeout=self._timeout_s, stream=True)
            if answer.status_code != 200:
                code, message = parse_error(answer.content)
                raise _AnswerError(
                    answer.status_code, answer.headers.get("x-ms-error-code", code), message
                )
            return answer

        answer = await self._run("get", path, call, discard=lambda late: late.close())
        is_gzip = is_still_gzip(answer.headers.get("Content-Encoding", ""))
        translate = functools.partial(self._translate, "get", path)
        chunks = FileChunks(self._threads, answer.raw, translate, _SDK_ERRORS)
        return ObjectStream("gzip" if is_gzip else "", chunks)

    async def put(
        self,
        path: str,
        open_content: Callable[[], BinaryIO],
        length: int,
        content_encoding: str = "",
    ) -> None:
        """Upload the blob in one request, or in blocks which are committed together."""
        settings = ContentSettings(
            content_type="application/octet-stream", content_encoding=content_encoding or None
        )

        def call() -> None:
            with open_content() as content:
                self._blob(path).upload_blob(
                    content, length=length, overwrite=True, content_settings=settings
                )

        await self._run("put", path, call)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield page after page, without names which end in a slash: they stand for directories."""
        start = self._key(prefix)
        token: str | None = None
        while True:
            fetch = functools.partial(self._fetch_page, start, token)
            blobs, token = await self._run("list", prefix, fetch)
            for blob in blobs:
                if not blob.name.endswith("/"):
                    name = blob.name.removeprefix(start)
                    mod_time = int(blob.last_modified.timestamp())
                    yield ObjectInfo(name=name, mod_time=mod_time, size=blob.size)
            if not token:
                return

    async def remove(self, path: str) -> None:
        """Delete the blob."""
        try:
            await self._run("remove", path, lambda: self._blob(path).delete_blob())
        except StoreMissingError:
            return

    async def sign_get(self, path: str, ttl_s: float) -> str:
        """Return a URL with a shared access signature, of an application for at most 7 days."""

        def call() -> str:
            query = self._access.sign(self._service, self._container, self._key(path), ttl_s)
            return f"{self._blob(path).url}?{query}"

        return await self._run("sign", path, call, threads=self._sign_thread)

    async def close(self) -> None:
        """Close idle connections, and end the threads."""
        self._threads.close()
        self._sign_thread.close()
        self._access.close()
        self._service.close()
        self._session.close()

    def _open_access(self) -> Access:
        if self._is_directory:
            return DirectoryAccess(self._parsed, self._clock, self._transport)
        return KeyAccess(self._clock)

    def _open_service(self) -> BlobServiceClient:
        own = f"https://{self._access.account}.blob.core.windows.net"
        endpoint = self._parsed.args.get("endpoint") or own
        if self._is_directory and not endpoint.startswith("https://"):
            raise ValueError(f"endpoint {endpoint}: tokens of azure-ad are sent over https only")
        return BlobServiceClient(
            endpoint,
            self._access.credential,
            transport=self._transport,
            retry_total=0,
            max_single_put_size=_BLOCK_BYTES,
            max_block_size=_BLOCK_BYTES,
        )

    def _fetch_page(self, start: str, token: str | None) -> tuple[Sequence[Any], str | None]:
        container = self._service.get_container_client(self._container)
        listing = container.list_blobs(
            name_starts_with=start, results_per_page=self._page_objects_max
        )
        pages: Any = listing.by_page(token)
        return tuple(next(pages, ())), pages.continuation_token

    def _blob(self, path: str) -> Any:
        return self._service.get_blob_client(self._container, self._key(path))

    async def _run(
        self,
        operation: str,
        path: str,
        call: Callable[[], _T],
        discard: Callable[[_T], None] | None = None,
        threads: Threads | None = None,
    ) -> _T:
        """Return the outcome of a call in a thread, which is tried again while it may pass."""

        async def attempt() -> _T:
            try:
                return await (threads or self._threads).run(call, discard)
            except (*_SDK_ERRORS, _AnswerError) as exc:
                raise self._translate(operation, path, exc) from exc

        return await tried(self._clock, attempt)

    def _key(self, path: str) -> str:
        return self._parsed.path[1:] + self._parsed.rewrite(path)

    def _translate(self, operation: str, path: str, exc: Exception) -> StoreError:
        if isinstance(exc, _AnswerError):
            return self._refused(operation, path, exc.status, exc.code, str(exc))
        if isinstance(exc, HttpResponseError) and exc.status_code:
            code = str(getattr(exc, "error_code", None) or "")
            return self._refused(operation, path, exc.status_code, code, exc.message)
        kind = StoreUnavailableError if _may_pass(exc) else StoreDeniedError
        return self._error(kind, operation, path, _first_line(str(exc)))

    def _refused(
        self, operation: str, path: str, status: int, code: str, message: str
    ) -> StoreError:
        detail = f"container {self._container}: HTTP {status} {code} {_first_line(message)}"
        return self._error(classify(status, code), operation, path, detail.rstrip())

    def _error(self, kind: type[StoreError], operation: str, path: str, detail: str) -> StoreError:
        return kind(self.url, operation, path, detail)


def _may_pass(exc: Exception) -> bool:
    if isinstance(exc, ClientAuthenticationError):
        # The credential wraps whatever kept it from a token, also what is no refusal.
        return isinstance(exc.__cause__, ServiceRequestError | ServiceResponseError)
    return isinstance(exc, AzureError) or may_pass(exc)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
