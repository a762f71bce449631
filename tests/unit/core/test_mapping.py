"""The golden vectors which other languages agree on."""

import pytest

from gazette_py.core.mapping import Rendezvous, fnv1a_32, modulo

VECTORS = [
    (b"It always", 0x5E1F62FD, 119, 21),
    (b"seems", 0x2CDE002C, 54, 179),
    (b"impossible", 0x45DBD4D8, 308, 50),
    (b"until", 0xBAB5214F, 97, 13),
    (b"it is done.", 0xFD0A5982, 179, 337),
    (b"- Nelson Mandela", 0x4485D979, 437, 29),
    (b"thee to", 0xFBBCCC00, 300, 395),
    (b"lovely and more", 0x804202B0, 118, 344),
]


def _parts(count: int) -> list[str]:
    return [f"a/topic/part-{i:03d}" for i in range(count)]


@pytest.mark.parametrize(("key", "hashed", "modulo_index", "rendezvous_index"), VECTORS)
def test_golden_vectors(key: bytes, hashed: int, modulo_index: int, rendezvous_index: int) -> None:
    assert fnv1a_32(key) == hashed
    assert modulo(key, _parts(443)) == _parts(443)[modulo_index]
    for count in (400, 500):  # Here, more journals move none of these keys.
        assert Rendezvous(_parts(count))(key) == _parts(count)[rendezvous_index]


def test_the_hash_of_nothing_is_the_offset_basis() -> None:
    assert fnv1a_32(b"") == 0x811C9DC5
