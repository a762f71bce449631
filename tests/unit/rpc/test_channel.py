"""Endpoints of brokers, as gRPC dials them."""

import pytest

from gazette_py.errors import ConfigError
from gazette_py.rpc.channel import dial, target_of


@pytest.mark.parametrize(
    ("endpoint", "target", "is_tls"),
    [
        ("http://host", "host:80", False),
        ("http://host:8080", "host:8080", False),
        ("http://host:8080/path?query", "host:8080", False),
        ("http://host:", "host:80", False),
        ("https://host", "host:443", True),
        ("https://[::1]:8080", "[::1]:8080", True),
        ("http://[::1]", "[::1]:80", False),
        ("unix://host/run/broker.sock", "unix:///run/broker.sock", False),
        # A member may announce it. It fails when it is dialled, and not before.
        ("http://host:99999", "host:99999", False),
    ],
)
def test_targets(endpoint: str, target: str, is_tls: bool) -> None:
    assert target_of(endpoint) == (target, is_tls)


@pytest.mark.parametrize(
    "endpoint", ["", "host:80", "ftp://host", "http://", "http://:80", "http://a b"]
)
def test_what_cannot_be_dialled(endpoint: str) -> None:
    with pytest.raises(ConfigError):
        target_of(endpoint)


def test_a_channel_neither_pings_nor_compresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gazette's servers hang up on clients which ping, and none expects compressed messages."""
    given: dict[str, object] = {}

    def insecure_channel(_: str, options: list[tuple[str, object]], **more: object) -> None:
        given.update(options, **more)

    monkeypatch.setattr("grpc.aio.insecure_channel", insecure_channel)
    dial("http://host")
    assert given
    assert not [name for name in given if "keepalive" in name or "compression" in name]
