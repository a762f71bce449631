"""Tokens of calls: signed to the byte as by Gazette's clients, and kept while they are good."""

import jwt
import pytest

from gazette_py.protocol.claims import Capability, Claims, Keys, of_journal
from gazette_py.protocol.labels import LabelSelector
from gazette_py.rpc import tokens
from gazette_py.rpc.tokens import FixedToken, Metadata, SignedTokens, Tokens

KEYS = Keys((b"a-secret-of-more-than-32-bytes-for-hs256", b"older"))
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
