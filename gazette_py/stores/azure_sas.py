"""Shared access signatures of Azure by a user delegation key. Pure.

The SDK signs by the newest version it knows, whose text changes from release to release, and which
emulators and older installations refuse. This is one version, which every service has known for
years.

Source: Azure's documentation, "Create a user delegation SAS", version 2020-12-06.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

_VERSION: Final = "2020-12-06"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegationKey:
    """A key which the service gave to an application, and may be used until `expiry`."""

    object_id: str
    tenant_id: str
    start: str  # Times are as the service spells them.
    expiry: str
    service: str
    version: str
    value: str  # Base64.


def sign_read(
    key: DelegationKey, *, account: str, container: str, blob: str, expiry: datetime
) -> str:
    """Return the query of an https URL by which the blob may be read.

    Args:
        key: It must not end before `expiry`.
        account: Name of the storage account.
        container: Name of the container.
        blob: Name of the blob, as it is.
        expiry: In UTC.
    """
    fields = {
        "sp": "r",
        "se": expiry.strftime(_TIME),
        "skoid": key.object_id,
        "sktid": key.tenant_id,
        "skt": key.start,
        "ske": key.expiry,
        "sks": key.service,
        "skv": key.version,
        "spr": "https",
        "sv": _VERSION,
        "sr": "b",
    }
    lines = [fields["sp"], "", fields["se"], f"/blob/{account}/{container}/{blob}"]
    lines += [fields[name] for name in ("skoid", "sktid", "skt", "ske", "sks", "skv")]
    lines += ["", "", "", ""]  # Other users, correlation and addresses: not bound.
    lines += [fields[name] for name in ("spr", "sv", "sr")]
    lines += [""] * 7  # Snapshot, encryption scope, and headers which the answer shall have.
    secret = base64.b64decode(key.value)
    digest = hmac.new(secret, "\n".join(lines).encode(), hashlib.sha256).digest()
    return urlencode({**fields, "sig": base64.b64encode(digest).decode()})
