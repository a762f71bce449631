"""Programs of the reference, built by whoever runs these tests, and named by the environment.

GAZETTE_TEST_GO_BROKER   the program `gazette`
GAZETTE_TEST_GAZCTL      the program `gazctl`
GAZETTE_TEST_GO_PROTO    a checkout of gazette/core, for its protocol.proto. Without it ours is
                         taken, which has its names and numbers
"""

import os
from pathlib import Path

import pytest


def named(variable: str) -> str:
    """Return the path which a variable names, or skip."""
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} is not set: it names a program or checkout of gazette/core")
    return path


@pytest.fixture
def go_broker() -> str:
    return named("GAZETTE_TEST_GO_BROKER")


@pytest.fixture
def gazctl() -> str:
    return named("GAZETTE_TEST_GAZCTL")


@pytest.fixture
def protocol_proto() -> Path:
    if checkout := os.environ.get("GAZETTE_TEST_GO_PROTO"):
        return Path(checkout) / "broker" / "protocol" / "protocol.proto"
    return Path(__file__).parents[2] / "proto" / "gazette_py" / "pb" / "protocol.proto"
