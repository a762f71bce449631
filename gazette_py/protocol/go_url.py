"""URLs as Go reads them: what one broker of a mixed cluster accepts, every other does.

The standard library's `urlsplit` drops line ends and leading spaces, takes any host, and leaves
escapes in the path. The reference refuses the former and decodes the latter, so a store which is
spelled `s3://bucket/a%20b/` has the prefix `a b/`.

Departures: a path which is no UTF-8 once it is decoded, or holds a NUL, is refused. No store has a
place for it.

Source: Go's net/url, Parse, of which this is the part that endpoints and store URLs meet.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from urllib.parse import unquote_to_bytes

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Escapes of a host are of bytes beyond ASCII, and of the percent sign.
_BAD_HOST_ESCAPE: Final = re.compile(r"%(?!25|[89A-Fa-f][0-9A-Fa-f])")
_HOST: Final = re.compile(r"[A-Za-z0-9!$&'()*+,;=:\[\]<>\"\-_.~%\u0080-\U0010ffff]*")
_USER: Final = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_PORT: Final = re.compile(r"(?::[0-9]*)?")


class MalformedURLError(ValueError):
    """The text is no URL, or one which cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoURL:
    """The parts of a URL."""

    scheme: str  # In lower case; empty if the URL is relative.
    host: str  # With its port, without a user.
    path: str  # Decoded. Empty if what follows the scheme does not begin with a slash.
    query: str  # As spelled.

    @property
    def port(self) -> str:
        """The digits after the host's last colon; empty if there are none."""
        return self.host.rpartition(":")[2] if _has_port(self.host) else ""


def parse_url(text: str) -> GoURL:
    """Split a URL.

    Raises:
        MalformedURLError: Go would refuse it, too (or see Departures).
    """
    rest, _, fragment = text.partition("#")
    if _CONTROL.search(rest):
        raise MalformedURLError("it holds a control character")
    _check_escapes(fragment)
    scheme, rest = _split_scheme(rest)
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if not scheme and ":" in rest.partition("/")[0]:
            raise MalformedURLError("its first segment holds a colon")
        return GoURL(scheme=scheme, host="", path="" if scheme else _decode(rest), query=query)
    host = ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, below = rest[2:].partition("/")
        host, rest = _host_of(authority), slash + below
    return GoURL(scheme=scheme, host=host, path=_decode(rest), query=query)


def _split_scheme(text: str) -> tuple[str, str]:
    if text.startswith(":"):
        raise MalformedURLError("it has no scheme before the colon")
    match = _SCHEME.match(text)
    if match is None:
        return "", text
    return match.group()[:-1].lower(), text[match.end() :]


def _host_of(authority: str) -> str:
    user, at, host = authority.rpartition("@")
    if at:
        if _USER.fullmatch(user) is None:
            raise MalformedURLError("its user holds a character which must be escaped")
        _check_escapes(user)
    if "[" in host:
        _check_literal(host)
    elif ":" in host and not _has_port(host):
        raise MalformedURLError("its port is no number")
    if _HOST.fullmatch(host) is None or _BAD_HOST_ESCAPE.search(host):
        raise MalformedURLError(f"it has a bad host ({host})")
    return _to_text(unquote_to_bytes(host))


def _check_literal(host: str) -> None:
    address, bracket, port = host.removeprefix("[").rpartition("]")
    if not bracket:
        raise MalformedURLError("its host has no closing bracket")
    if _PORT.fullmatch(port) is None:
        raise MalformedURLError("its port is no number")
    try:
        IPv6Address(address.replace("%25", "%", 1))
    except AddressValueError as exc:
        raise MalformedURLError(f"its host in brackets is no IPv6 address ({address})") from exc


def _has_port(host: str) -> bool:
    _, colon, port = host.rpartition(":")
    return bool(colon) and _PORT.fullmatch(f":{port}") is not None


def _decode(path: str) -> str:
    _check_escapes(path)
    decoded = _to_text(unquote_to_bytes(path))
    if "\x00" in decoded:
        raise MalformedURLError("its path holds a NUL")
    return decoded


def _to_text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise MalformedURLError("it is no UTF-8 once its escapes are decoded") from exc


def _check_escapes(text: str) -> None:
    bad = _BAD_ESCAPE.search(text)
    if bad is not None:
        raise MalformedURLError(f"it has a bad escape ({text[bad.start() : bad.start() + 3]})")
