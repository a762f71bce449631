"""What all tests of faults share: a network of hosts."""

from collections.abc import Iterator

import pytest
from chaos_network import Network, available, network
from chaos_trial import HOSTS


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    if why := available():
        pytest.skip(why)
    with network(HOSTS) as made:
        yield made
