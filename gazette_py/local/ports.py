"""Free ports of the loopback interface."""

import socket
from contextlib import ExitStack

from gazette_py.errors import ConfigError


def free_ports(count: int) -> list[int]:
    """Return ports which are free now. Another process may still be faster to take one."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [int(s.getsockname()[1]) for s in sockets]


def check_free(port: int, option: str) -> None:
    """Refuse a port which somebody listens at.

    Raises:
        ConfigError: It names `option`.
    """
    try:
        socket.create_server(("", port)).close()
    except OSError as exc:
        raise ConfigError(option, f"port {port} cannot be used: {exc.strerror}") from exc
