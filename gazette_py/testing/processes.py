"""Real brokers and a real etcd as children of a test, which may kill them."""

from pathlib import Path
from typing import Any, Self

from gazette_py.client import Client
from gazette_py.local.cluster import ClusterConfig, LocalBroker, LocalCluster
from gazette_py.testing.threads import ContextThread

TIMEOUT_S = 60.0


class ProcessCluster:
    """A cluster of processes, from entering to leaving the context.

    Args:
        directory: Of their logs, and of the store.
        brokers: How many.
        lease_s: How long a killed broker is waited for, in seconds; at least 2.
    """

    def __init__(self, directory: Path, *, brokers: int = 3, lease_s: int = 2) -> None:
        config = ClusterConfig(data_dir=directory, brokers=brokers, lease_s=lease_s)
        self._cluster = LocalCluster(config)
        self._thread = ContextThread(self._cluster, "cluster of a test", TIMEOUT_S)

    @property
    def address(self) -> str:
        """Of all brokers which run, as `connect` takes it."""
        return ",".join(self._cluster.endpoints)

    @property
    def store(self) -> Path:
        """The directory of `file:///`."""
        return self._cluster.file_root

    @property
    def brokers(self) -> list[LocalBroker]:
        """Each with its `id`, `zone` and `process`."""
        return self._cluster.brokers

    def connect(self, **options: Any) -> Client:
        """Return a client for the caller's event loop; options are those of `connect`."""
        return self._cluster.connect(**options)

    def kill(self, broker: LocalBroker) -> None:
        """Kill a broker (SIGKILL), and wait for its end."""
        assert broker.process is not None
        self._thread.call(broker.process.kill())

    def start(self, broker: LocalBroker) -> None:
        """Start a broker which was killed."""
        self._thread.call(self._cluster.start_broker(broker))

    def __enter__(self) -> Self:
        """Start etcd and all brokers."""
        self._thread.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them."""
        self._thread.__exit__()
