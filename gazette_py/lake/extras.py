"""Libraries which only some users of the lake have: imported when used, and asked for by name."""

from importlib import import_module
from typing import Any

from gazette_py.errors import ConfigError


def require(module: str) -> Any:
    """Return a module of the extra `lake`.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as exc:
        wanted = module.partition(".")[0]
        if exc.name is None or exc.name.partition(".")[0] != wanted:
            raise  # It is there, and lacks something itself.
        raise ConfigError(
            wanted, "it is not installed; try `pip install 'gazette-py[lake]'`"
        ) from exc
