"""Claims of tokens, to the byte as Gazette's clients write them, and the keys of an option."""

import json

import pytest

from gazette_py.errors import ConfigError, ValidationError
from gazette_py.protocol.claims import (
    Capability,
    Claims,
    Keys,
    claims_of,
    names_of,
    of_journal,
    parse_keys,
    payload_of,
)
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


def test_claims_are_read_as_they_were_written() -> None:
    selector = LabelSelector(
        LabelSet((Label("env", "prod"), Label("name", "acme/", prefix=True))),
        LabelSet((Label("internal"),)),
    )
    claims = Claims(Capability.LIST | Capability.READ, selector, 1, 2)

    assert claims_of(payload_of(claims)) == claims
    assert claims_of(payload_of(GOLDEN)) == GOLDEN


@pytest.mark.parametrize(
    "payload",
    [
        '{"cap": 8, "exp": 9}',
        '{"CAP": 8, "Exp": 9.7, "SEL": null, "iss": "someone"}',
        '{"cap": 8, "exp": 9, "sel": {}}',
        '{"cap": 8, "exp": 9, "sel": {"include": null, "exclude": {"labels": []}}}',
    ],
)
def test_what_is_absent_or_null_restricts_nothing(payload: str) -> None:
    assert claims_of(payload.encode()) == Claims(Capability.READ, LabelSelector(), 0, 9)


def test_the_pseudo_label_prefix_means_names_which_begin_so() -> None:
    payload = b'{"exp": 9, "sel": {"include": {"labels": [{"name": "prefix", "value": "a/"}]}}}'

    assert claims_of(payload).selector.include == LabelSet((Label("name", "a/", prefix=True),))


def test_labels_are_sorted_and_other_times_kept() -> None:
    payload = (
        '{"cap": 65544, "exp": 9, "nbf": 5, "iat": 4,'
        ' "sel": {"Include": {"Labels": [{"Name": "z", "Prefix": true}, {"name": "a"}]}}}'
    )

    claims = claims_of(payload.encode())

    assert claims.selector.include == LabelSet((Label("a"), Label("z", prefix=True)))
    assert (claims.issued_at, claims.not_before, claims.expires_at) == (4, 5, 9)
    assert names_of(claims.capability) == ["READ", "0x10000"]


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ("", "payload"),
        ("{", "payload"),
        ("[1]", "payload"),
        ('{"cap": 8}', "exp"),
        ('{"cap": 8, "exp": true}', "exp"),
        ('{"cap": 8, "exp": "9"}', "exp"),
        ('{"cap": 8, "exp": 9, "iat": 1e999}', "iat"),
        ('{"cap": 2.0, "exp": 9}', "cap"),
        ('{"cap": -1, "exp": 9}', "cap"),
        ('{"cap": 4294967296, "exp": 9}', "cap"),
        ('{"cap": true, "exp": 9}', "cap"),
        ('{"cap": 8, "exp": 9, "sel": []}', "sel"),
        ('{"cap": 8, "exp": 9, "sel": {"include": 1}}', "sel.include"),
        ('{"cap": 8, "exp": 9, "sel": {"exclude": {"labels": {}}}}', "sel.exclude.labels"),
        ('{"cap": 8, "exp": 9, "sel": {"include": {"labels": [1]}}}', "sel.include.labels"),
        ('{"cap": 8, "exp": 9, "sel": {"include": {"labels": [{}]}}}', "sel.include.labels"),
    ],
)
def test_what_is_no_claims_is_refused(payload: str, path: str) -> None:
    """None of these may be taken for claims without restrictions."""
    with pytest.raises(ValidationError) as caught:
        claims_of(payload.encode())
    assert caught.value.path == path
