"""Who we are to Azure: an account by its key, or an application of Entra ID by its secret.

Both authorize requests of the SDK, single GETs of our own, and URLs for others to GET.
"""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, generate_blob_sas

from gazette_py.clock import Clock
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.azure_sas import DelegationKey, sign_read

_GET_TTL_S: Final = 300
_KEY_TTL_S: Final = 2 * 3600  # Of a user delegation key, which is renewed at half of it.
_KEY_TTL_MAX_S: Final = 7 * 24 * 3600  # By the service.
_SIGN_TTL_MAX_S: Final = _KEY_TTL_MAX_S - 3600  # So that also the longest share a key.
_SCOPE: Final = "https://storage.azure.com/.default"
_API_VERSION: Final = "2021-12-02"  # Of our GETs: any which knows tokens.


class Access(ABC):
    """Authorizes. Methods block, since they may call a service."""

    account: str
    credential: Any  # For clients of the SDK.

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @abstractmethod
    def sign(self, service: BlobServiceClient, container: str, key: str, ttl_s: float) -> str:
        """Return the query of a URL which may be read for `ttl_s` seconds."""

    @abstractmethod
    def authorize_get(self, service: BlobServiceClient, container: str, key: str) -> "Authorized":
        """Return what a GET made now must carry."""

    @abstractmethod
    def close(self) -> None:
        """Release connections."""


class Authorized:
    """Query and headers of a request."""

    def __init__(self, query: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.query = query
        self.headers = dict(headers or {})


class KeyAccess(Access):
    """By the key of the account of AZURE_ACCOUNT_NAME. Nothing is asked of the service."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.account = _need("AZURE_ACCOUNT_NAME", "azure")
        self._key = _need("AZURE_ACCOUNT_KEY", "azure")
        self.credential = {"account_name": self.account, "account_key": self._key}

    def sign(self, service: BlobServiceClient, container: str, key: str, ttl_s: float) -> str:
        """Sign by the account's key."""
        return generate_blob_sas(
            self.account,
            container,
            key,
            account_key=self._key,
            permission=BlobSasPermissions(read=True),
            expiry=datetime.fromtimestamp(self._clock.now() + ttl_s, UTC),
            # An emulator has no TLS, and is the only one whose URL has not.
            protocol="https" if service.url.startswith("https:") else "https,http",
        )

    def authorize_get(self, service: BlobServiceClient, container: str, key: str) -> Authorized:
        """Sign a URL for ourselves."""
        return Authorized(self.sign(service, container, key, _GET_TTL_S))

    def close(self) -> None:
        """Nothing is open."""


class DirectoryAccess(Access):
    """By an application in the URL's tenant, with AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.

    It needs a role which reads and writes blobs, and one which may ask for user delegation keys.
    """

    def __init__(self, url: StoreURL, clock: Clock, transport: RequestsTransport) -> None:
        super().__init__(clock)
        from azure.identity import ClientSecretCredential  # It loads slowly, and few need it.

        self.account = url.account
        self.credential = ClientSecretCredential(
            url.host,
            _need("AZURE_CLIENT_ID", "azure-ad"),
            _need("AZURE_CLIENT_SECRET", "azure-ad"),
            disable_instance_discovery=True,  # The tenant is named: nothing is to be discovered.
            transport=transport,
            retry_total=0,
        )
        self._lock = threading.Lock()
        self._delegated: DelegationKey | None = None
        self._delegated_until = 0.0

    def sign(self, service: BlobServiceClient, container: str, key: str, ttl_s: float) -> str:
        """Sign by a user delegation key, which outlives the signature."""
        ttl_s = min(ttl_s, _SIGN_TTL_MAX_S)
        return sign_read(
            self._delegation_key(service, ttl_s),
            account=self.account,
            container=container,
            blob=key,
            expiry=datetime.fromtimestamp(self._clock.now() + ttl_s, UTC),
        )

    def authorize_get(self, service: BlobServiceClient, container: str, key: str) -> Authorized:
        """Carry a token, which the credential keeps until shortly before its end."""
        token = self.credential.get_token(_SCOPE).token
        return Authorized(
            headers={"Authorization": f"Bearer {token}", "x-ms-version": _API_VERSION}
        )

    def close(self) -> None:
        """Close the credential, but for the transport, which is not its own."""
        self.credential.close()

    def _delegation_key(self, service: BlobServiceClient, ttl_s: float) -> DelegationKey:
        with self._lock:
            now = self._clock.now()
            needed_until = now + max(_KEY_TTL_S / 2, ttl_s)
            if self._delegated is None or self._delegated_until < needed_until:
                until = now + min(max(_KEY_TTL_S, 2 * ttl_s), _KEY_TTL_MAX_S)
                given = service.get_user_delegation_key(
                    key_start_time=datetime.fromtimestamp(now, UTC),
                    key_expiry_time=datetime.fromtimestamp(until, UTC),
                )
                self._delegated = DelegationKey(
                    object_id=given.signed_oid or "",
                    tenant_id=given.signed_tid or "",
                    start=given.signed_start or "",
                    expiry=given.signed_expiry or "",
                    service=given.signed_service or "",
                    version=given.signed_version or "",
                    value=given.value or "",
                )
                self._delegated_until = until
            return self._delegated


def _need(variable: str, scheme: str) -> str:
    if not (value := os.environ.get(variable, "")):
        raise ValueError(f"{variable} must be set for {scheme}:// URLs")
    return value
