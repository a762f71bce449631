"""Tokens which calls carry as `authorization` metadata: signed here, and verified.

Invariants:
    T1  A token is good for at least half of its lifetime when a call takes it.
    T2  At most `_CACHED_MAX` tokens are kept.
    T3  Neither keys nor tokens are shown: not in errors, not by `repr`.
    T4  A token is believed only if one of our keys signed it, and by the clock each time it comes.

Units: Unix seconds.
Source: gazette/core auth/auth.go; lifetimes and selectors as its clients choose them.
"""

import warnings
from collections import OrderedDict
from typing import Final

from gazette_py.clock import Clock
from gazette_py.errors import RpcUnauthenticatedError, ValidationError
from gazette_py.protocol.claims import (
    Capability,
    Claims,
    Keys,
    claims_of,
    names_of,
    of_journal,
    payload_of,
)
from gazette_py.protocol.labels import LabelSelector

Metadata = tuple[tuple[str, str], ...]

_LIFETIME_S: Final = 3600
_APPLY_LIFETIME_S: Final = 60
_CACHED_MAX: Final = 4096
_ALGORITHMS: Final = ("HS256", "HS384")

LEEWAY_S: Final = 5
"""By how much clocks of who signs and who verifies may differ."""


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


class Verifier:
    """Tells what callers may do. This one knows no keys, and lets all do all."""

    def verify(self, authorization: str | None, required: Capability) -> Claims | None:
        """Return the claims of a call which needs `required`; None: it is not restricted.

        Args:
            authorization: Value of its header, if it has one.
            required: All of it must be claimed.

        Raises:
            RpcUnauthenticatedError: It is not let in; the reason shows nothing secret. Its code is
                UNAUTHENTICATED, or PERMISSION_DENIED if only the capability is lacking.
        """
        return None


class KeyVerifier(Verifier):
    """Lets in who brings a token which one of the keys signed."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        from jwt.api_jws import PyJWS

        self._keys = keys
        self._clock = clock
        self._jws = PyJWS()
        self._cached: OrderedDict[str, Claims] = OrderedDict()

    def verify(self, authorization: str | None, required: Capability) -> Claims | None:
        """Return the claims of a call (T4)."""
        if authorization is None:
            if not self._keys.allows_missing:
                raise _refused("the call bears no token, and the brokers ask for one")
            now = int(self._clock.now())
            return Claims(required, LabelSelector(), now, now + _LIFETIME_S)
        word, space, token = authorization.partition(" ")
        if word != "Bearer" or not space:
            raise _refused("the authorization is no bearer token")
        claims = self._cached.get(token)
        if claims is None:
            claims = self._cached[token] = self._claims_of(token)
            if len(self._cached) > _CACHED_MAX:
                self._cached.popitem(last=False)
        else:
            self._cached.move_to_end(token)
        check_times(claims, self._clock.now())
        if missing := required & ~claims.capability:
            lacking = f"the token lacks {' and '.join(names_of(missing))}"
            raise RpcUnauthenticatedError("client", "PERMISSION_DENIED", lacking)
        return claims

    def _claims_of(self, token: str) -> Claims:
        from jwt.exceptions import InvalidSignatureError, InvalidTokenError

        for key in self._keys.keys:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # Of short keys: the operator chose them.
                    return claims_of(self._jws.decode(token, key, list(_ALGORITHMS)))
            except InvalidSignatureError:
                continue
            except (InvalidTokenError, ValidationError) as exc:
                raise _refused(f"the token is malformed: {exc}") from None  # T3
        raise _refused("the token is signed by none of the brokers' keys")


def read_unverified(token: str) -> Claims:
    """Return what a token claims, whoever signed it. For people to look at, not to believe.

    Raises:
        ValidationError: It is no token with claims of ours.
    """
    from jwt.api_jws import PyJWS
    from jwt.exceptions import InvalidTokenError

    try:
        return claims_of(PyJWS().decode(token, options={"verify_signature": False}))
    except InvalidTokenError as exc:
        raise ValidationError("token", f"it is malformed: {exc}") from exc


def check_times(claims: Claims, now: float) -> None:
    """Refuse claims which are not valid yet, or not any more.

    Raises:
        RpcUnauthenticatedError: They are not valid at `now`.
    """
    if now > claims.expires_at + LEEWAY_S:
        raise _refused(f"the token expired {now - claims.expires_at:.0f} s ago, by our clock")
    for begin, what in ((claims.issued_at, "issued"), (claims.not_before, "valid")):
        if begin > now + LEEWAY_S:
            raise _refused(f"the token is {what} only in {begin - now:.0f} s, by our clock")


def _refused(reason: str) -> RpcUnauthenticatedError:
    return RpcUnauthenticatedError("client", "UNAUTHENTICATED", reason)


def _bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)
