"""Whether our `journalctl` is found before systemd's."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from gazette_py.cli.doctor_facts import Shadow
from gazette_py.cli.examination import claims_of
from gazette_py.cli.shadowing import shadows
from gazette_py.clock import SYSTEM
from gazette_py.protocol.claims import Capability, Claims, Keys
from gazette_py.protocol.labels import LabelSelector
from gazette_py.rpc.tokens import SignedTokens

OURS = Path(sys.executable).parent / "journalctl"  # As it was installed.


def executable(directory: Path, content: bytes) -> str:
    directory.mkdir()
    path = directory / "journalctl"
    path.write_bytes(content)
    path.chmod(0o755)
    return str(directory)


@pytest.fixture
def ours(tmp_path: Path) -> str:
    (tmp_path / "ours").mkdir()
    shutil.copy(OURS, tmp_path / "ours" / "journalctl")
    return str(tmp_path / "ours")


@pytest.fixture
def systems(tmp_path: Path) -> str:
    return executable(tmp_path / "system", b"\x7fELF")


def test_ours_is_first_for_either(ours: str, systems: str) -> None:
    path = os.pathsep.join([ours, systems])
    assert shadows(path, [ours, systems], [systems]) == (
        Shadow("this user", f"{ours}/journalctl", f"{systems}/journalctl"),
        Shadow("root", f"{ours}/journalctl", f"{systems}/journalctl"),
    )


def test_ours_is_first_for_this_user_only(ours: str, systems: str) -> None:
    (shadow,) = shadows(os.pathsep.join([ours, systems]), [systems, ours], [systems])
    assert shadow.whose == "this user"


def test_without_another_nothing_is_hidden(ours: str, tmp_path: Path) -> None:
    assert shadows(ours, [ours], [str(tmp_path / "none")]) == ()
    assert shadows("", [str(tmp_path / "none")], [ours]) == ()


def test_a_directory_of_that_name_is_no_command(tmp_path: Path, systems: str) -> None:
    (tmp_path / "odd" / "journalctl").mkdir(parents=True)
    assert shadows(str(tmp_path / "odd"), [], [systems]) == ()


def test_claims_are_read_without_keys() -> None:
    signer = SignedTokens(Keys((b"secret-of-the-cluster-32-bytes-or",)), SYSTEM)
    token = signer.sign(Claims(Capability.LIST, LabelSelector(), 100, 160))
    assert (claims_of(token)["iat"], claims_of(token)["exp"]) == (100, 160)


@pytest.mark.parametrize("token", ["", "a.b", "a.!.c", "a.bm8.c", "a.MQ.c"])
def test_what_is_no_token_claims_nothing(token: str) -> None:
    assert claims_of(token) == {}
