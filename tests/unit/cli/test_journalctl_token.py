"""`journalctl token`: what it makes lets in, and what it looks into is told."""

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gazette_py.cli.errors import ExitCode
from gazette_py.cli.journalctl import cli
from gazette_py.clock import SYSTEM
from gazette_py.protocol.claims import Capability, Claims, Keys
from gazette_py.protocol.labels import Label, LabelSelector, LabelSet
from gazette_py.rpc.tokens import KeyVerifier, SignedTokens

KEY = b"a-key-of-enough-bytes-for-hs256-."


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("keys").write_bytes(base64.b64encode(KEY))
    Path("others").write_bytes(base64.b64encode(b"another" + KEY))


def call(*args: str, code: int = ExitCode.OK, stdin: str = "") -> Result:
    result = CliRunner().invoke(cli, ["token", *args], input=stdin, prog_name="journalctl")
    assert result.exit_code == code, result.output
    return result


def test_a_token_lets_in_for_what_was_asked_and_no_longer() -> None:
    options = ("--cap", "list,Read", "-l", "name:prefix=acme/, !internal", "--ttl", "2h")

    token = call("create", *options, "--auth-keys-file", "keys").stdout.strip()

    needed = Capability.LIST | Capability.READ
    claims = KeyVerifier(Keys((KEY,)), SYSTEM).verify(f"Bearer {token}", needed)
    assert claims is not None
    assert claims.capability == needed
    assert claims.expires_at - claims.issued_at == 7200
    assert claims.selector == LabelSelector(
        LabelSet((Label("name", "acme/", prefix=True),)), LabelSet((Label("internal"),))
    )


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--cap", "read"), "keys (INVALID): none were given"),
        (("--cap", "reed", "--auth-keys-file", "keys"), "'reed' is none of list, apply, read"),
        (("--cap", "read", "--auth-keys-file", "keys", "--ttl", "0s"), "less than a second"),
        (("--cap", "read", "--auth-keys-file", "keys", "-l", "=,"), "selector '=,'"),
        (("--auth-keys-file", "keys"), "--cap"),
    ],
)
def test_what_makes_no_token_is_told(args: tuple[str, ...], told: str) -> None:
    assert told in call("create", *args, code=ExitCode.USAGE).stderr


def inspected(token: str, *args: str, code: int = ExitCode.OK) -> dict[str, object]:
    document = json.loads(call("inspect", *args, "-o", "json", stdin=token, code=code).stdout)
    item: dict[str, object] = document["items"][0]
    return item


def test_a_token_is_looked_into_with_and_without_keys() -> None:
    token = call("create", "--cap", "append", "--auth-keys-file", "keys").stdout
    Path("token").write_text(f"Bearer {token}")

    item = inspected(token, "--auth-keys-file", "keys")
    assert item["capabilities"] == ["APPEND"]
    assert (item["signature"], item["refused"]) == ("good", "")
    assert str(inspected(token)["signature"]).startswith("unknown")
    refused = inspected(token, "--auth-keys-file", "others", code=ExitCode.NOT_ALLOWED)
    assert refused["refused"] == "the token is signed by none of the brokers' keys"
    assert call("inspect", "token").stdout.startswith("APPEND\t<all>\t")


def test_a_token_which_has_expired_is_told_so() -> None:
    claims = Claims(Capability.READ, LabelSelector(), 1000, 2000)
    token = SignedTokens(Keys((KEY,)), SYSTEM).sign(claims)

    item = inspected(token, code=ExitCode.NOT_ALLOWED)

    assert str(item["refused"]).startswith("the token expired ")
    assert item["expires"] == "1970-01-01T00:33:20Z"


@pytest.mark.parametrize("text", ["", "abc", "a.b.c", "eyJhbGciOiJIUzI1NiJ9.e30.AA"])
def test_what_is_no_token_is_told(text: str) -> None:
    assert "token in - (INVALID)" in call("inspect", stdin=text, code=ExitCode.USAGE).stderr


def test_a_file_which_is_not_there_is_told() -> None:
    assert "file nowhere" in call("inspect", "nowhere", code=ExitCode.USAGE).stderr
