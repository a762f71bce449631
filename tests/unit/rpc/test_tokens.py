"""Tokens of calls: signed to the byte as by Gazette's clients, and kept while they are good."""

import warnings

import jwt
import pytest

from gazette_py.errors import RpcUnauthenticatedError
from gazette_py.protocol.claims import Capability, Claims, Keys, of_journal
from gazette_py.protocol.labels import LabelSelector
from gazette_py.rpc import tokens
from gazette_py.rpc.tokens import (
    FixedToken,
    KeyVerifier,
    Metadata,
    SignedTokens,
    Tokens,
    Verifier,
)

KEYS = Keys((b"a-secret-of-more-than-32-bytes-for-hs256", b"older-secret"))
JOURNAL = "a/journal"


class SetClock:
    """A wall clock which a test sets."""

    def __init__(self, now: float) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        raise AssertionError("tokens know the wall clock only")

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("tokens do not wait")

    def uniform(self, low: float, high: float) -> float:
        raise AssertionError("tokens draw nothing")

    def token_hex(self, nbytes: int) -> str:
        raise AssertionError("tokens draw nothing")


def claims_of(metadata: Metadata) -> dict[str, object]:
    ((name, value),) = metadata
    assert name == "authorization"
    word, token = value.split(" ")
    assert word == "Bearer"
    options = {"verify_exp": False, "verify_iat": False}
    claims: dict[str, object] = jwt.decode(token, KEYS.keys[0], ["HS256"], options=options)  # type: ignore[arg-type]  # As given.
    return claims


def test_the_golden_token() -> None:
    claims = Claims(Capability.READ, of_journal(JOURNAL), 1700000000, 4102444800)
    assert SignedTokens(Keys((b"secret",)), SetClock(0)).sign(claims) == (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
        "eyJjYXAiOjgsInNlbCI6eyJpbmNsdWRlIjp7ImxhYmVscyI6W3sibmFtZSI6Im5hbWUiLCJ2YWx1ZSI6ImEvam91"
        "cm5hbCJ9XX0sImV4Y2x1ZGUiOnsibGFiZWxzIjpudWxsfX0sImV4cCI6NDEwMjQ0NDgwMCwiaWF0IjoxNzAwMDAw"
        "MDAwfQ."
        "nK5JJhsiY3VYIIuLyNhapEwDbg0X91TCn7Y0zcFX-oM"
    )


def test_a_token_is_for_one_hour_and_one_journal() -> None:
    clock = SetClock(1000.7)
    claims = claims_of(SignedTokens(KEYS, clock).for_journal(Capability.APPEND, JOURNAL + ";meta"))
    assert claims["cap"] == 16
    assert claims["sel"] == {
        "include": {"labels": [{"name": "name", "value": JOURNAL}]},
        "exclude": {"labels": None},
    }
    assert (claims["iat"], claims["exp"]) == (1000, 4600)


def test_a_token_to_apply_is_for_a_minute_and_names_no_journal() -> None:
    claims = claims_of(SignedTokens(KEYS, SetClock(1000)).metadata(Capability.APPLY))
    assert (claims["iat"], claims["exp"]) == (1000, 1060)
    assert claims["sel"] == {"include": {"labels": None}, "exclude": {"labels": None}}


def test_a_token_is_signed_anew_when_half_its_life_is_over() -> None:
    clock = SetClock(1000)
    signed = SignedTokens(KEYS, clock)
    first = signed.for_journal(Capability.READ, JOURNAL)
    clock.time = 2799
    assert signed.for_journal(Capability.READ, JOURNAL) is first
    clock.time = 2800
    assert claims_of(signed.for_journal(Capability.READ, JOURNAL))["exp"] == 2800 + 3600


def test_tokens_of_other_capabilities_or_journals_are_others() -> None:
    signed = SignedTokens(KEYS, SetClock(1000))
    made = {
        signed.for_journal(Capability.READ, JOURNAL),
        signed.for_journal(Capability.APPEND, JOURNAL),
        signed.for_journal(Capability.READ, "another"),
        signed.metadata(Capability.READ),
    }
    assert len(made) == 4


def test_few_tokens_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_CACHED_MAX", 2)
    signed = SignedTokens(KEYS, SetClock(1000))
    a = signed.for_journal(Capability.READ, "a")
    b = signed.for_journal(Capability.READ, "b")
    assert signed.for_journal(Capability.READ, "a") is a
    signed.for_journal(Capability.READ, "c")  # The one not used for longest goes.
    assert signed.for_journal(Capability.READ, "a") is a
    assert signed.for_journal(Capability.READ, "b") is not b


def test_a_fixed_token_is_borne_by_every_call() -> None:
    fixed = FixedToken("abc.def.ghi")
    expected = (("authorization", "Bearer abc.def.ghi"),)
    assert fixed.metadata(Capability.APPLY) == expected
    assert fixed.for_journal(Capability.READ, JOURNAL) == expected


def test_without_keys_calls_bear_nothing() -> None:
    assert Tokens().metadata(Capability.LIST, LabelSelector()) == ()


def test_neither_keys_nor_tokens_are_shown() -> None:
    shown = repr(SignedTokens(KEYS, SetClock(0))) + repr(FixedToken("abc.def.ghi"))
    assert "secret" not in shown
    assert "abc" not in shown


def bearer(*, key: bytes = KEYS.keys[0], algorithm: str = "HS256", **claims: object) -> str:
    """Return the header of a token with these claims, valid from 1000 to 2000 else."""
    claims = {"cap": 8, "iat": 1000, "exp": 2000} | claims
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keys of tests are short.
        return f"Bearer {jwt.encode(claims, key, algorithm)}"


def refusal(verifier: Verifier, authorization: str | None) -> str:
    with pytest.raises(RpcUnauthenticatedError) as caught:
        verifier.verify(authorization, Capability.READ)
    return caught.value.detail


@pytest.mark.parametrize("algorithm", ["HS256", "HS384"])
@pytest.mark.parametrize("key", KEYS.keys)
def test_a_token_of_any_key_lets_in(algorithm: str, key: bytes) -> None:
    verifier = KeyVerifier(KEYS, SetClock(1500))

    claims = verifier.verify(bearer(key=key, algorithm=algorithm), Capability.READ)

    assert claims == Claims(Capability.READ, LabelSelector(), 1000, 2000)


def test_what_we_sign_we_believe() -> None:
    clock = SetClock(1500)
    ((_, value),) = SignedTokens(KEYS, clock).for_journal(Capability.APPEND, JOURNAL)

    claims = KeyVerifier(KEYS, clock).verify(value, Capability.APPEND)

    assert claims is not None
    assert claims.selector == of_journal(JOURNAL)


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "the call bears no token, and the brokers ask for one"),
        ("", "the authorization is no bearer token"),
        ("Bearer", "the authorization is no bearer token"),
        ("bearer abc", "the authorization is no bearer token"),
        ("Basic abc", "the authorization is no bearer token"),
        ("Bearer abc", "the token is malformed: Not enough segments"),
        (bearer(key=b"stranger"), "the token is signed by none of the brokers' keys"),
        (bearer(algorithm="HS512"), "the token is malformed: The specified alg value"),
        (bearer(cap=16), "the token lacks READ"),
        (bearer(cap=2.0), "the token is malformed: cap: 2.0 is no unsigned number of 32 bits"),
        (bearer(exp=1494), "the token expired 6 s ago, by our clock"),
        (bearer(iat=1506), "the token is issued only in 6 s, by our clock"),
        (bearer(nbf=1506), "the token is valid only in 6 s, by our clock"),
    ],
)
def test_others_are_refused_and_told_why(authorization: str | None, reason: str) -> None:
    detail = refusal(KeyVerifier(KEYS, SetClock(1500)), authorization)

    assert detail.startswith(reason)
    assert "secret" not in detail
    assert not authorization or len(authorization) < 20 or authorization[7:30] not in detail


def test_a_token_without_signature_is_refused() -> None:
    unsigned = jwt.encode({"cap": 8, "iat": 1000, "exp": 2000}, None, "none")

    assert "malformed" in refusal(KeyVerifier(KEYS, SetClock(1500)), f"Bearer {unsigned}")


def test_clocks_may_differ_by_five_seconds() -> None:
    verifier = KeyVerifier(KEYS, SetClock(1500))

    for claims in ({"exp": 1495}, {"iat": 1505}, {"nbf": 1505}):
        assert verifier.verify(bearer(**claims), Capability.READ) is not None


def test_a_token_which_was_verified_is_looked_at_again_each_time() -> None:
    clock = SetClock(1500)
    verifier = KeyVerifier(KEYS, clock)
    token = bearer()

    first = verifier.verify(token, Capability.READ)
    assert verifier.verify(token, Capability.READ) is first
    with pytest.raises(RpcUnauthenticatedError):
        verifier.verify(token, Capability.APPEND)
    clock.time = 2006
    assert refusal(verifier, token) == "the token expired 6 s ago, by our clock"


def test_few_verified_tokens_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_CACHED_MAX", 1)
    verifier = KeyVerifier(KEYS, SetClock(1500))
    first = verifier.verify(bearer(), Capability.READ)
    verifier.verify(bearer(jti="another"), Capability.READ)

    assert verifier.verify(bearer(), Capability.READ) is not first


def test_a_missing_token_may_pass_while_authorization_is_rolled_out() -> None:
    verifier = KeyVerifier(Keys(KEYS.keys, allows_missing=True), SetClock(1500))

    assert verifier.verify(None, Capability.APPLY) == Claims(
        Capability.APPLY, LabelSelector(), 1500, 5100
    )
    assert "expired" in refusal(verifier, bearer(exp=1000))


def test_without_keys_nobody_is_restricted() -> None:
    assert Verifier().verify(None, Capability.APPLY) is None
    assert Verifier().verify("Bearer nonsense", Capability.APPLY) is None
