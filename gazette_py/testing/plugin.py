"""Fixtures for pytest, there as soon as gazette_py is installed.

    gazette_broker    one broker in this process, for each test anew
    gazette_brokers   three of them, in three zones
    gazette_cluster   three real brokers and a real etcd, as children of pytest, for the session

The first two are an `InProcessCluster`; the last is a `ProcessCluster`, and needs the extra `dev`,
which brings etcd.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

# Whatever is heavy is imported by the fixture which needs it: this module is part of every start of
# pytest where gazette_py is installed.
if TYPE_CHECKING:
    from gazette_py.testing.in_process import InProcessCluster
    from gazette_py.testing.processes import ProcessCluster


@pytest.fixture
def gazette_broker() -> "Iterator[InProcessCluster]":
    """One broker in this process."""
    from gazette_py.testing.in_process import InProcessCluster

    with InProcessCluster() as cluster:
        yield cluster


@pytest.fixture
def gazette_brokers() -> "Iterator[InProcessCluster]":
    """Three brokers in this process, each in a zone of its own."""
    from gazette_py.testing.in_process import InProcessCluster

    with InProcessCluster(brokers=3) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def gazette_cluster(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[ProcessCluster]":
    """Three real brokers and a real etcd; journals stay until the end of the session."""
    from gazette_py.testing.processes import ProcessCluster

    with ProcessCluster(tmp_path_factory.mktemp("gazette")) as cluster:
        yield cluster
