"""URLs of fragment stores: which backend, bucket and prefix, and with which arguments.

A URL is kept as it is spelled: the index and the registry of stores compare spellings. Arguments
are looked at when the store is used, not when a spec which names it is applied.

Source: gazette/core broker/protocol/fragment_store.go and broker/stores/common/rewriter.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from gazette_py.errors import ValidationError
from gazette_py.protocol.go_url import MalformedURLError, parse_url

_WITH_BUCKET: Final = ("s3", "gs", "azure")


@dataclass(frozen=True, slots=True)
class StoreURL:
    """A parsed URL of a fragment store."""

    url: str  # As spelled.
    scheme: str  # s3, gs, azure, azure-ad, file or memory.
    host: str  # Bucket or container; the tenant for azure-ad; empty for file.
    path: str  # Decoded; begins and ends in a slash. For azure-ad, what follows the container.
    account: str = ""  # Storage account and container, only for azure-ad.
    container: str = ""
    args: Mapping[str, str] = field(default_factory=dict)  # By lower-case key; the last one wins.

    @classmethod
    def parse(cls, url: str, *, allow_memory: bool = False, path: str = "") -> "StoreURL":
        """Parse and check a URL.

        Args:
            url: It must be absolute, and its path end in a slash.
            allow_memory: Also accept the scheme `memory`, a store which dies with its process.
            path: Where the URL was found, for the error.

        Raises:
            ValidationError: With `path`.
        """
        try:
            parts = parse_url(url)
        except MalformedURLError as exc:
            raise ValidationError(path, f"not a URL ({url}): {exc}") from exc
        if not parts.scheme:
            raise ValidationError(path, f"not absolute ({url})")
        _validate_place(url, parts.scheme, parts.host, allow_memory, path)
        account = container = ""
        below = parts.path
        if parts.scheme == "azure-ad":
            account, container, below = _split_azure_ad(url, below, path)
        if not parts.path.endswith("/"):
            raise ValidationError(path, f"path component doesn't end in '/' ({url})")
        args = {key.lower(): value for key, value in parse_qsl(parts.query, True)}
        return cls(url, parts.scheme, parts.host, below, account, container, args)

    def rewrite(self, content_path: str) -> str:
        """Return the path of an object, or of a listing, after the arguments find and replace.

        The first occurrence alone is replaced, and nothing of the URL's own path.
        """
        find = self.args.get("find", "")
        return content_path.replace(find, self.args.get("replace", ""), 1) if find else content_path


def _validate_place(url: str, scheme: str, host: str, allow_memory: bool, path: str) -> None:
    if scheme in _WITH_BUCKET:
        if not host:
            raise ValidationError(path, f"missing bucket ({url})")
    elif scheme == "azure-ad":
        if not host:
            raise ValidationError(path, f"missing tenant ID ({url})")
    elif scheme == "file":
        if host:
            raise ValidationError(path, f"file scheme cannot have host ({url})")
    elif scheme != "memory" or not allow_memory:
        raise ValidationError(path, f"invalid scheme ({scheme})")


def _split_azure_ad(url: str, path: str, context: str) -> tuple[str, str, str]:
    account, _, rest = path.removeprefix("/").partition("/")
    container, _, below = rest.partition("/")
    if not account:
        raise ValidationError(context, f"missing storage account ({url})")
    if not container:
        raise ValidationError(context, f"missing storage container ({url})")
    return account, container, f"/{below}"
