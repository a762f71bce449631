"""For tests: brokers in this process with faults on demand, real ones as children, and fixtures.

    from gazette_py.testing import InProcessCluster

Stand-ins of etcd and stores live here, and nothing outside of tests imports them.
"""

from typing import TYPE_CHECKING, Any

# Imported when they are asked for: `gazette_py.testing.plugin` is part of every start of pytest.
if TYPE_CHECKING:
    from gazette_py.testing.faults import Faults
    from gazette_py.testing.in_process import InProcessCluster
    from gazette_py.testing.processes import ProcessCluster

__all__ = ["Faults", "InProcessCluster", "ProcessCluster"]

_MODULES = {"Faults": "faults", "InProcessCluster": "in_process", "ProcessCluster": "processes"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
