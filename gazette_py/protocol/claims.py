"""What a token claims: capabilities, the journals they are for, and from when to when.

Units: Unix seconds.
Source: gazette/core auth/auth.go and broker/protocol/auth.go; the payload is byte for byte the one
which Gazette's own clients sign.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from gazette_py.errors import ConfigError
from gazette_py.protocol.journal import strip_meta
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet

_ALLOWS_MISSING: Final = b"\x00"
"""Written as AA==: no key, but leave for callers which bring no token."""


class Capability(IntFlag):
    """What the holder of a token may do. Bit 0 has no meaning; bits from 16 are applications'."""

    LIST = 1 << 1
    APPLY = 1 << 2
    READ = 1 << 3
    APPEND = 1 << 4
    REPLICATE = 1 << 5


@dataclass(frozen=True, slots=True)
class Claims:
    """Leave to do `capability` with the journals of `selector`; an empty one selects all."""

    capability: Capability
    selector: LabelSelector
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of tokens. The first signs; each of them verifies."""

    keys: tuple[bytes, ...]
    allows_missing: bool = False  # Calls without a token pass.


def of_journal(journal: str) -> LabelSelector:
    """Return the selector of one journal; what follows a ';' in its name does not count."""
    return LabelSelector(include=LabelSet((Label("name", strip_meta(journal)),)))


def payload_of(claims: Claims) -> bytes:
    """Return the claims as the payload of a token."""
    fields = {
        "cap": int(claims.capability),
        "sel": {
            "include": {"labels": _labels(claims.selector.include)},
            "exclude": {"labels": _labels(claims.selector.exclude)},
        },
        "exp": claims.expires_at,
        "iat": claims.issued_at,
    }
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def parse_keys(option: str, text: str) -> Keys:
    """Return the keys which a text lists: padded base64, with commas or blanks between.

    Args:
        option: What the text was given for, as errors shall name it; they never show keys.
        text: The keys.

    Raises:
        ConfigError: One is no base64, or there is none.
    """
    keys = []
    for count, part in enumerate(filter(None, re.split(r"[\s,]+", text)), 1):
        try:
            keys.append(base64.b64decode(part, validate=True))
        except (binascii.Error, ValueError):
            raise ConfigError(option, f"key {count} is not padded base64") from None
    allows_missing = _ALLOWS_MISSING in keys
    keys = [key for key in keys if key and key != _ALLOWS_MISSING]
    if not keys:
        raise ConfigError(option, "holds no key")
    return Keys(tuple(keys), allows_missing)


def _labels(labels: LabelSet) -> list[dict[str, object]] | None:
    """Return them as Go writes them: none as null, and members which say nothing left out."""
    return [
        {"name": label.name}
        | ({"value": label.value} if label.value else {})
        | ({"prefix": True} if label.prefix else {})
        for label in labels
    ] or None
