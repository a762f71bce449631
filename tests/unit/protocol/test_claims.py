"""Claims of tokens, to the byte as Gazette's clients write them, and the keys of an option."""

import json

import pytest

from gazette_py.errors import ConfigError
from gazette_py.protocol.claims import Capability, Claims, Keys, of_journal, parse_keys, payload_of
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet

GOLDEN = Claims(Capability.READ, of_journal("a/journal"), 1700000000, 4102444800)


def test_the_golden_payload() -> None:
    assert payload_of(GOLDEN) == (
        b'{"cap":8,"sel":{"include":{"labels":[{"name":"name","value":"a/journal"}]},'
        b'"exclude":{"labels":null}},"exp":4102444800,"iat":1700000000}'
    )


def test_members_which_say_nothing_are_left_out() -> None:
    selector = LabelSelector(
        LabelSet((Label("name", "acme/", prefix=True),)), LabelSet((Label("internal"),))
    )
    payload = json.loads(payload_of(Claims(Capability.LIST | Capability.READ, selector, 1, 2)))
    assert payload["cap"] == 10
    assert payload["sel"] == {
        "include": {"labels": [{"name": "name", "value": "acme/", "prefix": True}]},
        "exclude": {"labels": [{"name": "internal"}]},
    }


def test_what_follows_a_semicolon_is_no_part_of_the_name() -> None:
    assert of_journal("a/journal;fence/1") == of_journal("a/journal")


def test_capabilities_have_the_bits_of_the_protocol() -> None:
    assert {c.name: int(c) for c in Capability} == {
        "LIST": 2, "APPLY": 4, "READ": 8, "APPEND": 16, "REPLICATE": 32,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("c2VjcmV0", Keys((b"secret",))),
        (" c2VjcmV0,b3RoZXI=\n", Keys((b"secret", b"other"))),
        ("b3RoZXI=  c2VjcmV0", Keys((b"other", b"secret"))),
        ("AA== c2VjcmV0", Keys((b"secret",), allows_missing=True)),
    ],
)
def test_keys(text: str, keys: Keys) -> None:
    assert parse_keys("--broker.auth-keys", text) == keys


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no key"),
        ("AA==", "holds no key"),
        (" , ", "holds no key"),
        ("c2VjcmV0 b3RoZXI", "key 2 is not padded base64"),
        ("c2Vj-mV0", "key 1 is not padded base64"),
        ("schlüssel", "key 1 is not padded base64"),
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_keys("--broker.auth-keys", text)
    assert str(caught.value) == f"--broker.auth-keys: {reason}"
