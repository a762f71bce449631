"""Free ports of the loopback interface.

They lie below the range from which the system takes ports of outgoing connections: else one of
those could take a port between our look and its use.
"""

import os
import secrets
import socket

from gazette_py.errors import ConfigError

_LOWEST, _HIGHEST = 10_000, 32_000
_PLACES = 64
_PLACE = (_HIGHEST - _LOWEST) // _PLACES

_given: set[int] = set()  # Nobody may listen yet at what we gave before.


def free_ports(count: int) -> list[int]:
    """Return ports which are free now, each only once. Another process may still be faster.

    Raises:
        ConfigError: There are not so many.
    """
    # Processes which begin together look in different places.
    first = os.getpid() % _PLACES * _PLACE + secrets.randbelow(_PLACE)
    found: list[int] = []
    for step in range(_HIGHEST - _LOWEST):
        port = _LOWEST + (first + step) % (_HIGHEST - _LOWEST)
        if port not in _given and _why_taken(port) is None:
            found.append(port)
        if len(found) == count:
            _given.update(found)
            return found
    raise ConfigError("--port", f"there are no {count} free ports on this machine")


def check_free(port: int, option: str) -> None:
    """Refuse a port which somebody listens at.

    Raises:
        ConfigError: It names `option`.
    """
    reason = _why_taken(port)
    if reason is not None:
        raise ConfigError(option, f"port {port} cannot be used: {reason}")


def _why_taken(port: int) -> str | None:
    try:
        socket.create_server(("", port)).close()
    except OSError as exc:
        return os.strerror(exc.errno or 0)
    return None
