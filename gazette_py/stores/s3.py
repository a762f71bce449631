"""Fragment store of an S3 bucket: `s3://bucket/prefix/?region=...`, over boto3 in threads.

Listings are most of a broker's calls. A page is one presigned GET, parsed with expat, at an eighth
of the processor time of boto3's own pages.

Bounds: a request connects in 5 s, no read of its answer waits over 30 s, and it is tried 3 times.
Source: gazette/core broker/stores/s3/store.go. Ours uploads objects above 5 GiB in parts.
"""

import functools
import os
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO, Final, TypeVar

import boto3
import urllib3.exceptions
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore import exceptions as aws_errors
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.httpsession import URLLib3Session, get_cert_path
from botocore.utils import get_environ_proxies

from gazette_py.clock import Clock
from gazette_py.errors import StoreDeniedError, StoreError, StoreMissingError, StoreUnavailableError
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.base import ObjectInfo, ObjectStream, Store
from gazette_py.stores.s3_answers import (
    ListPage,
    classify,
    is_still_gzip,
    parse_error,
    parse_list_page,
)
from gazette_py.stores.threads import FileChunks, Threads
from gazette_py.stores.tries import TRIES, tried

_T = TypeVar("_T")

_THREADS_MAX: Final = 32  # As many as the persister uploads at once.
_SINGLE_PUT_BYTES_MAX: Final = 5 << 30  # By the service.
_PART_BYTES: Final = 64 << 20  # 10,000 parts, the service's bound, hold a fragment many times.
_LIST_URL_TTL_S: Final = 300
_ARGUMENTS: Final = frozenset(
    ("profile", "endpoint", "region", "acl", "storageclass", "sse", "ssekmskeyid")
)
_UPLOAD_ARGUMENTS: Final = {
    "acl": "ACL",
    "storageclass": "StorageClass",
    "sse": "ServerSideEncryption",
    "ssekmskeyid": "SSEKMSKeyId",
}
# Of botocore's errors without an answer, those which may pass. Others are configuration.
_PASSING_ERRORS: Final = (
    aws_errors.ConnectionError,
    aws_errors.HTTPClientError,
    aws_errors.IncompleteReadError,
    aws_errors.MetadataRetrievalError,
    aws_errors.CredentialRetrievalError,
    Boto3Error,  # Of an upload in parts, whose own tries are used up.
    urllib3.exceptions.HTTPError,
    OSError,
)
_FOREIGN_ERRORS: Final = (
    aws_errors.BotoCoreError,
    aws_errors.ClientError,
    Boto3Error,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,  # Of an endpoint which is no URL.
)


class S3Store(Store):
    """Objects of one bucket, below the prefix of the URL's path.

    Raises:
        StoreDeniedError: An argument is unknown, the profile does not exist, or there is no region.
    """

    def __init__(
        self,
        url: StoreURL,
        clock: Clock,
        *,
        connect_timeout_s: float = 5,
        read_timeout_s: float = 30,
        single_put_bytes_max: int = _SINGLE_PUT_BYTES_MAX,
        part_bytes: int = _PART_BYTES,
        page_objects_max: int = 1000,  # By the service.
    ) -> None:
        self.url = url.url
        self._parsed = url
        self._clock = clock
        self._timeouts_s = (connect_timeout_s, read_timeout_s)
        self._single_put_bytes_max = single_put_bytes_max
        self._part_bytes = part_bytes
        self._page_objects_max = page_objects_max
        self._args = url.args
        self._put_args = {
            name: url.args[key] for key, name in _UPLOAD_ARGUMENTS.items() if url.args.get(key)
        }
        self._session = self._open_session()
        self._client_lock = threading.Lock()
        self._client_made: Any = None
        self._pages: URLLib3Session | None = None
        self._threads = Threads("store-s3", _THREADS_MAX)

    async def exists(self, path: str) -> bool:
        """Ask for the object's head. S3 answers alike if key or bucket are missing."""

        def call() -> bool:
            self._client().head_object(**self._address(path))
            return True

        try:
            return await self._run("exists", path, call)
        except StoreMissingError:
            return False

    async def get(self, path: str) -> ObjectStream:
        """Open the object. Its bytes are as they are stored: nothing on the way decodes them."""

        def call() -> Any:
            return self._client().get_object(**self._address(path))

        answer = await self._run("get", path, call, discard=lambda late: late["Body"].close())
        is_gzip = is_still_gzip(answer.get("ContentEncoding", ""))
        translate = functools.partial(self._translate, "get", path)
        chunks = FileChunks(self._threads, answer["Body"], translate, _FOREIGN_ERRORS)
        return ObjectStream("gzip" if is_gzip else "", chunks)

    async def put(
        self,
        path: str,
        open_content: Callable[[], BinaryIO],
        length: int,
        content_encoding: str = "",
    ) -> None:
        """Upload the object in one request, or in parts if it is larger than one may be."""
        extra = dict(self._put_args)
        if content_encoding:
            extra["ContentEncoding"] = content_encoding

        def call() -> None:
            with open_content() as content:
                if length <= self._single_put_bytes_max:
                    address = self._address(path)
                    self._client().put_object(
                        **address, Body=content, ContentLength=length, **extra
                    )
                    return
                # Parts follow each other in this thread: the bound of threads is the store's own.
                config = TransferConfig(
                    multipart_threshold=self._part_bytes,
                    multipart_chunksize=self._part_bytes,
                    use_threads=False,
                )
                self._client().upload_fileobj(
                    content, self._parsed.host, self._key(path), ExtraArgs=extra, Config=config
                )

        await self._run("put", path, call)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield page after page, without keys which end in a slash: they stand for directories."""
        start = self._key(prefix)
        token = ""
        while True:
            page = await self._page(prefix, token)
            for listed in page.objects:
                if not listed.key.endswith("/"):
                    name = listed.key.removeprefix(start)
                    yield ObjectInfo(name=name, mod_time=listed.mod_time, size=listed.size)
            token = page.next_token
            if not token:
                return

    async def remove(self, path: str) -> None:
        """Delete the object. S3 does not tell whether there was one."""
        await self._run("remove", path, lambda: self._client().delete_object(**self._address(path)))

    async def sign_get(self, path: str, ttl_s: float) -> str:
        """Return a presigned URL. No request is made, unless credentials must be renewed."""
        try:
            return str(
                self._client().generate_presigned_url(
                    "get_object", Params=self._address(path), ExpiresIn=int(ttl_s)
                )
            )
        except _FOREIGN_ERRORS as exc:
            raise self._translate("sign", path, exc) from exc

    async def close(self) -> None:
        """Close idle connections, and end the threads."""
        self._threads.close()
        if self._client_made is not None:
            self._client_made.close()
        if self._pages is not None:
            self._pages.close()

    async def _page(self, prefix: str, token: str) -> ListPage:
        """Return the page of a listing which begins at the token, in a bounded number of tries."""
        return await tried(
            self._clock, lambda: self._run("list", prefix, lambda: self._fetch_page(prefix, token))
        )

    def _fetch_page(self, prefix: str, token: str) -> ListPage:
        params = {
            "Bucket": self._parsed.host,
            "Prefix": self._key(prefix),
            "MaxKeys": self._page_objects_max,
            "EncodingType": "url",  # XML has no way to spell some characters of keys.
        }
        if token:
            params["ContinuationToken"] = token
        client = self._client()
        url = client.generate_presigned_url("list_objects_v2", params, ExpiresIn=_LIST_URL_TTL_S)
        assert self._pages is not None, "made with the client"
        answer = self._pages.send(AWSRequest(method="GET", url=url).prepare())
        if answer.status_code != 200:
            code, message = parse_error(answer.content)
            detail = f"HTTP {answer.status_code} {code} {message}".rstrip()
            raise self._error(classify(answer.status_code, code), "list", prefix, detail)
        try:
            return parse_list_page(answer.content)
        except ValueError as exc:  # Cut short, as when a server ends in the middle of its answer.
            raise self._error(StoreUnavailableError, "list", prefix, str(exc)) from exc

    def _open_session(self) -> Any:
        """Return a session of the profile, checked for what reading files and environment tells."""
        unknown = sorted(set(self._args) - _ARGUMENTS - {"find", "replace"})
        if unknown:
            raise self._error(
                StoreDeniedError, "open", "store", f"unknown argument {', '.join(unknown)}"
            )
        profile = self._args.get("profile", "")
        try:
            session = boto3.session.Session(
                profile_name=profile or None,
                # Of the two variables boto3 itself reads only AWS_DEFAULT_REGION.
                region_name=self._args.get("region") or os.environ.get("AWS_REGION") or None,
            )
        except _FOREIGN_ERRORS as exc:
            raise self._translate("open", "store", exc) from exc
        if not session.region_name:
            way_out = "give the store URL the argument region, or set AWS_REGION"
            detail = f"no region is configured for profile {profile!r}: {way_out}"
            raise self._error(StoreDeniedError, "open", "store", detail)
        return session

    def _client(self) -> Any:
        """Return the client, made by the first thread which needs it: it loads models for long."""
        with self._client_lock:
            if self._client_made is None:
                connect_s, read_s = self._timeouts_s
                endpoint = self._args.get("endpoint") or None
                self._client_made = self._session.client(
                    "s3", endpoint_url=endpoint, config=self._client_config()
                )
                url = self._client_made.meta.endpoint_url
                # Pages go by the same proxies and trust the same authorities as the client.
                bundle = self._session._session.get_config_variable("ca_bundle")  # noqa: SLF001 (boto3 has no other way to its configuration)
                self._pages = URLLib3Session(
                    verify=bundle or get_cert_path(True),
                    proxies=get_environ_proxies(url),
                    timeout=(connect_s, read_s),
                    max_pool_connections=_THREADS_MAX,
                )
            return self._client_made

    def _client_config(self) -> Config:
        connect_s, read_s = self._timeouts_s
        return Config(
            signature_version="s3v4",  # Else URLs are signed the old way, which S3 refuses by now.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=connect_s,
            read_timeout=read_s,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=_THREADS_MAX,
            s3={"addressing_style": self._addressing_style()},
        )

    def _addressing_style(self) -> str:
        # A custom endpoint has no host names of buckets, and no certificate holds for a dot more.
        if self._args.get("endpoint") or "." in self._parsed.host:
            return "path"
        # boto3 by itself signs URLs for the global endpoint, which redirects to a bucket's region
        # or refuses it, and the signature does not hold there.
        return "virtual"

    async def _run(
        self,
        operation: str,
        path: str,
        call: Callable[[], _T],
        discard: Callable[[_T], None] | None = None,
    ) -> _T:
        try:
            return await self._threads.run(call, discard)
        except _FOREIGN_ERRORS as exc:
            raise self._translate(operation, path, exc) from exc

    def _address(self, path: str) -> dict[str, str]:
        return {"Bucket": self._parsed.host, "Key": self._key(path)}

    def _key(self, path: str) -> str:
        return self._parsed.path[1:] + self._parsed.rewrite(path)

    def _translate(self, operation: str, path: str, exc: Exception) -> StoreError:
        if isinstance(exc, aws_errors.ClientError):
            status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            code = str(exc.response.get("Error", {}).get("Code", ""))
            return self._error(classify(status, code), operation, path, str(exc))
        kind = StoreUnavailableError if isinstance(exc, _PASSING_ERRORS) else StoreDeniedError
        return self._error(kind, operation, path, str(exc))

    def _error(self, kind: type[StoreError], operation: str, path: str, detail: str) -> StoreError:
        return kind(self.url, operation, path, detail)
