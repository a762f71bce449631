"""Tokens which calls carry as `authorization` metadata.

Invariants:
    T1  A token is good for at least half of its lifetime when a call takes it.
    T2  At most `_CACHED_MAX` tokens are kept.
    T3  Neither keys nor tokens are shown: not in errors, not by `repr`.

Units: Unix seconds.
Source: gazette/core auth/auth.go; lifetimes and selectors as its clients choose them.
"""

import warnings
from collections import OrderedDict
from typing import Final

from gazette_py.clock import Clock
from gazette_py.protocol.claims import Capability, Claims, Keys, of_journal, payload_of
from gazette_py.protocol.labels import LabelSelector

Metadata = tuple[tuple[str, str], ...]

_LIFETIME_S: Final = 3600
_APPLY_LIFETIME_S: Final = 60
_CACHED_MAX: Final = 4096


class Tokens:
    """Gives each call what it needs to be let in: here nothing, as open brokers ask for nothing."""

    def metadata(
        self, capability: Capability, selector: LabelSelector = LabelSelector()
    ) -> Metadata:
        """Return the metadata of a call which needs `capability` for the journals of `selector`."""
        return ()

    def for_journal(self, capability: Capability, journal: str) -> Metadata:
        """Return the metadata of a call about one journal."""
        return self.metadata(capability, of_journal(journal))


class FixedToken(Tokens):
    """Every call bears a token which someone else signed."""

    def __init__(self, token: str) -> None:
        self._metadata = _bearer(token)

    def metadata(
        self, capability: Capability, selector: LabelSelector = LabelSelector()
    ) -> Metadata:
        """Return the token, whatever it is good for."""
        return self._metadata


class SignedTokens(Tokens):
    """Signs a token for just the call at hand, or takes one that was signed for its like."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        from jwt.api_jws import PyJWS  # Costs 30 ms, and most have no keys.

        self._key = keys.keys[0]
        self._jws = PyJWS()
        self._clock = clock
        self._cached: OrderedDict[tuple[Capability, LabelSelector], tuple[float, Metadata]]
        self._cached = OrderedDict()

    def metadata(
        self, capability: Capability, selector: LabelSelector = LabelSelector()
    ) -> Metadata:
        """Return a token of no more than the call needs (T1)."""
        now = self._clock.now()
        renew_at, metadata = self._cached.get((capability, selector), (now, ()))
        if now < renew_at:
            self._cached.move_to_end((capability, selector))
            return metadata
        lifetime_s = _APPLY_LIFETIME_S if capability is Capability.APPLY else _LIFETIME_S
        claims = Claims(capability, selector, int(now), int(now) + lifetime_s)
        metadata = _bearer(self.sign(claims))
        self._cached[capability, selector] = (now + lifetime_s / 2, metadata)
        if len(self._cached) > _CACHED_MAX:
            self._cached.popitem(last=False)
        return metadata

    def sign(self, claims: Claims) -> str:
        """Return the token of the claims."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of short keys: the brokers' operator chose them.
            return self._jws.encode(payload_of(claims), self._key, "HS256", sort_headers=True)


def _bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)
