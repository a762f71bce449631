"""Fragment store of a bucket of Google Cloud Storage: `gs://bucket/prefix/`, over Google's SDK.

It blocks, and runs in threads. Credentials are Google's application default ones. A service
account's key signs URLs here; any other service account signs by a call of IAM, for which it needs
the role of a token creator of itself. STORAGE_EMULATOR_HOST names an emulator, which is asked
without credentials.

Bounds: a request connects in 5 s, no read of its answer waits over 30 s, and it is tried 3 times.
The SDK's own retries are off. An upload has at most 8 MiB in memory.
Source: gazette/core broker/stores/gcs/store.go, which needs a key.
"""

import functools
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any, BinaryIO, Final, TypeVar
from urllib.parse import quote

import google.auth
import google.auth.exceptions
import google.auth.iam
import google.auth.transport.requests
import requests
from google.api_core import exceptions as api_errors
from google.auth.credentials import AnonymousCredentials, Signing
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.oauth2 import service_account

from gazette_py.clock import Clock
from gazette_py.errors import StoreDeniedError, StoreError, StoreMissingError, StoreUnavailableError
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.base import ObjectInfo, ObjectStream, Store
from gazette_py.stores.gcs_answers import classify, error_message
from gazette_py.stores.s3_answers import is_still_gzip
from gazette_py.stores.sessions import FOREIGN_ERRORS, may_pass, prepare
from gazette_py.stores.threads import FileChunks, Threads
from gazette_py.stores.tries import tried

_T = TypeVar("_T")

_THREADS_MAX: Final = 32  # As many as the persister uploads at once.
_CHUNK_BYTES: Final = 8 << 20  # Of an upload. Smaller objects go in one request.
_SCOPE: Final = "https://www.googleapis.com/auth/devstorage.full_control"
_SIGN_SCOPE: Final = "https://www.googleapis.com/auth/iam"
_FIELDS: Final = "items(name,size,updated),nextPageToken"
_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 (a URL, and never asked)
_SDK_ERRORS: Final = (
    api_errors.GoogleAPIError,
    google.auth.exceptions.GoogleAuthError,
    DataCorruption,
    *FOREIGN_ERRORS,
)


class GCSStore(Store):
    """Objects of one bucket, below the prefix of the URL's path.

    Raises:
        StoreDeniedError: An argument is unknown.
    """

    def __init__(
        self,
        url: StoreURL,
        clock: Clock,
        *,
        connect_timeout_s: float = 5,
        read_timeout_s: float = 30,
        page_objects_max: int = 1000,  # By the service.
    ) -> None:
        self.url = url.url
        self._parsed = url
        self._clock = clock
        self._timeout_s = (connect_timeout_s, read_timeout_s)
        self._page_objects_max = page_objects_max
        if unknown := sorted(set(url.args) - {"find", "replace"}):
            detail = f"unknown argument {', '.join(unknown)}"
            raise self._error(StoreDeniedError, "open", "store", detail)
        self._client_lock = threading.Lock()
        self._client_made: storage.Client | None = None
        self._token_session = requests.Session()
        prepare(self._token_session, 1)
        self._threads = Threads("store-gcs", _THREADS_MAX)
        # Reads wait for signatures, which must not wait for uploads.
        self._sign_lock = threading.Lock()
        self._signer_made: Any = None
        self._sign_thread = Threads("store-gcs-sign", 1)

    async def exists(self, path: str) -> bool:
        """Ask for the object's name."""

        def call() -> bool:
            blob = self._blob(path)
            blob.reload(projection="noAcl", timeout=self._timeout_s, retry=None)
            return True

        try:
            return await self._run("exists", path, call)
        except StoreMissingError:
            return False

    async def get(self, path: str) -> ObjectStream:
        """Open the object. The service decodes nothing, since it is told that we could."""

        def call() -> Any:
            client = self._client()
            url = f"{client.api_endpoint}/download/storage/v1{self._blob(path).path}?alt=media"
            headers = {"Accept-Encoding": "gzip"}
            answer = client._http.get(url, headers=headers, timeout=self._timeout_s, stream=True)  # noqa: SLF001 (the SDK reads no stream in bounded memory)
            if answer.status_code != 200:
                raise api_errors.from_http_response(answer)
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
        """Upload the object in one request, or resumably if it is larger than 8 MiB."""

        def call() -> None:
            blob = self._blob(path)
            blob.content_encoding = content_encoding or None
            with open_content() as content:
                blob.upload_from_file(
                    content, size=length, timeout=self._timeout_s, checksum="crc32c", retry=None
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
                    mod_time = int(blob.updated.timestamp())
                    yield ObjectInfo(name=name, mod_time=mod_time, size=blob.size)
            if not token:
                return

    async def remove(self, path: str) -> None:
        """Delete the object."""

        def call() -> None:
            self._blob(path).delete(timeout=self._timeout_s, retry=None)

        try:
            await self._run("remove", path, call)
        except StoreMissingError:
            return

    async def sign_get(self, path: str, ttl_s: float) -> str:
        """Return a URL of signature version 4, for at most seven days.

        Of an emulator without credentials it is the object's plain URL.
        """

        def call() -> str:
            client, blob = self._client(), self._blob(path)
            if (signer := self._signer()) is None:
                name = quote(blob.name, safe="/~")
                return f"{client.api_endpoint}/{self._parsed.host}/{name}"
            return str(
                blob.generate_signed_url(
                    version="v4",
                    expiration=timedelta(seconds=int(ttl_s)),
                    method="GET",
                    api_access_endpoint=client.api_endpoint,
                    credentials=signer,
                )
            )

        return await self._run("sign", path, call, threads=self._sign_thread)

    async def close(self) -> None:
        """Close idle connections, and end the threads."""
        self._threads.close()
        self._sign_thread.close()
        self._token_session.close()
        if self._client_made is not None:
            self._client_made.close()

    def _fetch_page(self, start: str, token: str | None) -> tuple[Sequence[Any], str | None]:
        listing = self._client().list_blobs(
            self._parsed.host,
            prefix=start,
            page_token=token,
            page_size=self._page_objects_max,
            fields=_FIELDS,
            timeout=self._timeout_s,
            retry=None,
        )
        page = next(listing.pages, ())
        return tuple(page), listing.next_page_token

    def _client(self) -> storage.Client:
        """Return the client, made by the first thread which needs it: it looks for credentials."""
        with self._client_lock:
            if self._client_made is None:
                credentials = AnonymousCredentials() if _emulator() else self._credentials(_SCOPE)
                session = google.auth.transport.requests.AuthorizedSession(
                    credentials, auth_request=self._token_request()
                )
                prepare(session, _THREADS_MAX)
                client = storage.Client(
                    project=None,  # Objects are of a bucket, whose name is global.
                    credentials=credentials,
                    _http=session,
                )
                # For the sake of traces it asks about the bucket, in threads and tries of its own,
                # and by a permission which we do not need.
                client._bucket_metadata_cache = None  # noqa: SLF001 (there is no other way)
                self._client_made = client
            return self._client_made

    def _credentials(self, scope: str) -> Any:
        found, _project = google.auth.default(scopes=[scope], request=self._token_request())
        return found

    def _token_request(self) -> Any:
        plain = google.auth.transport.requests.Request(self._token_session)
        return functools.partial(plain, timeout=self._timeout_s[1])

    def _signer(self) -> Any:
        """Return credentials which sign, or None for an emulator without any."""
        with self._sign_lock:
            if self._signer_made is None:
                if _emulator() and not os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
                    return None
                self._signer_made = self._make_signer()
            return self._signer_made

    def _make_signer(self) -> Any:
        found = self._credentials(_SIGN_SCOPE)
        if isinstance(found, Signing):  # By its key, or as another account's impersonator.
            return found
        request = self._token_request()
        found.refresh(request)  # Only then does a machine's account know its name.
        email = getattr(found, "service_account_email", "")
        if not email:
            detail = (
                "these credentials are of no service account, and cannot sign URLs: name the key "
                "file of one by GOOGLE_APPLICATION_CREDENTIALS, or impersonate one"
            )
            raise google.auth.exceptions.DefaultCredentialsError(detail)
        signer = google.auth.iam.Signer(request, found, email)
        return service_account.Credentials(signer, email, _TOKEN_URI)

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
            except _SDK_ERRORS as exc:
                raise self._translate(operation, path, exc) from exc

        return await tried(self._clock, attempt)

    def _blob(self, path: str) -> Any:
        bucket = self._client().bucket(self._parsed.host)
        return bucket.blob(self._key(path), chunk_size=_CHUNK_BYTES)

    def _key(self, path: str) -> str:
        return self._parsed.path[1:] + self._parsed.rewrite(path)

    def _translate(self, operation: str, path: str, exc: Exception) -> StoreError:
        if isinstance(exc, api_errors.GoogleAPICallError) and exc.code:
            body = exc.response.content if exc.response is not None else b""
            message = error_message(body) or str(exc)
            kind = classify(int(exc.code), message, operation)
            detail = f"bucket {self._parsed.host}: HTTP {int(exc.code)} {message}"
            return self._error(kind, operation, path, detail)
        if isinstance(exc, google.auth.exceptions.GoogleAuthError):
            passes = isinstance(exc, google.auth.exceptions.TransportError) or exc.retryable
        else:
            passes = isinstance(exc, DataCorruption | api_errors.GoogleAPIError) or may_pass(exc)
        kind = StoreUnavailableError if passes else StoreDeniedError
        return self._error(kind, operation, path, str(exc))

    def _error(self, kind: type[StoreError], operation: str, path: str, detail: str) -> StoreError:
        return kind(self.url, operation, path, detail)


def _emulator() -> str:
    return os.environ.get("STORAGE_EMULATOR_HOST", "")
