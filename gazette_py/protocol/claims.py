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
from math import isfinite
from typing import Final

from gazette_py.errors import ConfigError, ValidationError
from gazette_py.protocol.journal import strip_meta
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet, with_prefix_of_name

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
    not_before: int = 0


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


def claims_of(payload: bytes) -> Claims:
    """Return the claims of a token's payload, whose signature was verified.

    Raises:
        ValidationError: It does not hold claims of ours, or they have no end.
    """
    try:
        fields = _object(json.loads(payload), "payload")
    except ValueError as exc:
        raise ValidationError("payload", "it is no JSON") from exc
    capability = fields.get("cap", 0)
    if type(capability) is not int or not 0 <= capability < 1 << 32:
        raise ValidationError("cap", f"{capability!r} is no unsigned number of 32 bits")
    times = {name: _time(fields, name) for name in ("iat", "nbf", "exp")}
    if times["exp"] is None:
        raise ValidationError("exp", "there is none")
    selector = _object(fields.get("sel"), "sel")
    return Claims(
        capability=Capability(capability),
        selector=with_prefix_of_name(
            LabelSelector(
                include=_label_set(selector.get("include"), "sel.include"),
                exclude=_label_set(selector.get("exclude"), "sel.exclude"),
            )
        ),
        issued_at=times["iat"] or 0,
        expires_at=times["exp"],
        not_before=times["nbf"] or 0,
    )


def names_of(capability: int) -> list[str]:
    """Return names of capabilities, such as "READ"; what has none is given as a number."""
    known = [each for each in Capability if each & capability]
    rest = capability & ~sum(known)
    return [str(each.name) for each in known] + ([hex(rest)] if rest else [])


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


def _time(fields: dict[str, object], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValidationError(name, f"{value!r} is no Unix time")
    return int(value)


def _object(value: object, name: str) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValidationError(name, "it is no object")
    return {key.lower(): item for key, item in value.items()}


def _label_set(value: object, name: str) -> LabelSet:
    labels = _object(value, name).get("labels")
    if labels is None:
        return LabelSet()
    if not isinstance(labels, list):
        raise ValidationError(f"{name}.labels", "it is no list")
    return LabelSet(tuple(sorted(_label(label, f"{name}.labels") for label in labels)))


def _label(value: object, name: str) -> Label:
    fields = _object(value, name)
    label, text, prefix = fields.get("name"), fields.get("value", ""), fields.get("prefix", False)
    if not (isinstance(label, str) and isinstance(text, str) and isinstance(prefix, bool)):
        raise ValidationError(name, f"{value!r} is no label")
    return Label(label, text, prefix)
