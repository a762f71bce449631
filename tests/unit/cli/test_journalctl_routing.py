"""The journal of each record."""

import base64

import pytest

from gazette_py.cli.errors import CommandError
from gazette_py.cli.routing import Router
from gazette_py.message.framings import splitter_of
from gazette_py.message.serdes import serde_of

JOURNALS = ["a/0", "a/1", "a/2"]


def _router(mapping: str, **options: object) -> Router:
    framing = options.pop("framing", "lines")
    assert isinstance(framing, str)
    own = {"splitter": splitter_of(framing), "serde": serde_of(framing)}
    options = own | {"pick": lambda count: count - 1} | options
    return Router(JOURNALS, mapping, **options)  # type: ignore[arg-type]  # Options of the test.


def test_random_picks_a_journal_for_each_record() -> None:
    assert _router("random").route(b"x\n") == "a/2"


@pytest.mark.parametrize("mapping", ["modulo", "rendezvous"])
def test_a_key_precedes_its_record_and_decides(mapping: str) -> None:
    router = _router(mapping)

    assert router.route(b"key\r\n") is None
    assert router.has_key_only
    first = router.route(b"record 1\n")
    assert not router.has_key_only
    assert router.route(b"key\n") is None
    assert router.route(b"record 2\n") == first


def test_direct_keys_are_names() -> None:
    router = _router("direct")

    for name in JOURNALS:
        assert router.route(name.encode() + b"\n") is None
        assert router.route(b"x\n") == name


def test_direct_keys_which_name_nothing_are_refused() -> None:
    router = _router("direct")
    router.route(b"a/9\n")

    with pytest.raises(CommandError) as caught:
        router.route(b"x\n")
    assert caught.value.failure.what == "key 'a/9'"


def test_keys_in_base64() -> None:
    router = _router("direct", is_base64=True)

    router.route(base64.b64encode(b"a/1") + b"\n")

    assert router.route(b"x\n") == "a/1"


def test_keys_which_are_no_base64_are_refused() -> None:
    with pytest.raises(CommandError, match="is no base64"):
        _router("direct", is_base64=True).route(b"???\n")


def test_fixed_keys_are_framed_too() -> None:
    router = _router("direct", framing="fixed")

    router.route(bytes.fromhex("6633933603000000") + b"a/1")

    assert router.route(bytes.fromhex("6633933600000000")) == "a/1"


def test_keys_in_records_need_no_keys_before_them() -> None:
    router = _router("direct", key_pointer="/to")

    assert router.route(b'{"to": "a/1"}\n') == "a/1"
    assert router.route(b'{"to": "a/0"}\n') == "a/0"


def test_keys_are_fields_of_rows() -> None:
    router = _router("direct", framing="csv", key_pointer="/1")

    assert router.route(b'x,"a/1",y\n') == "a/1"


@pytest.mark.parametrize("record", [b"no json\n", b'{"too": 1}\n', b"[]\n"])
def test_records_without_a_key_are_refused(record: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        _router("modulo", key_pointer="/to").route(record)
    assert caught.value.failure.what == "record 1"
