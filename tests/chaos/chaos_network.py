"""Hosts of a test: network namespaces, joined by a router which can cut any of them off.

    test process ── router ── host 0, host 1, ...

Each host has an address of its own, and nothing else on its network. What is cut off loses its
packets on the way, as in a real network: nobody is told, and connections hang.

It needs root and iproute2; `available` says why not, if so.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


def available() -> str:
    """Return why there can be no network here, or nothing."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"gz{os.getpid()}probe"
    if _ip("netns", "add", probe, check=False):
        return "network namespaces cannot be made here"
    _ip("netns", "del", probe)
    return ""


class Network:
    """Up inside of `with network(...)`."""

    def __init__(self, hosts: int) -> None:
        self.hosts = hosts
        self._name = f"gz{os.getpid() % 100000}"
        self._subnet = f"10.{200 + os.getpid() % 50}"
        self._cuts: set[tuple[str, str]] = set()

    def address(self, host: int) -> str:
        """Return the address of a host."""
        return f"{self._subnet}.{host}.2"

    @property
    def test_address(self) -> str:
        """The address of the test process."""
        return f"{self._subnet}.250.2"

    def command(self, host: int) -> list[str]:
        """Return the words before a command which run it on a host."""
        return ["ip", "netns", "exec", self._host(host)]

    def cut(self, source: str, target: str) -> None:
        """Lose every packet from one address to another. The way back is another matter."""
        if (source, target) not in self._cuts:
            self._cuts.add((source, target))
            self._router("rule", "add", "from", source, "to", target, "blackhole")

    def part(self, left: str, right: str) -> None:
        """Cut two addresses off from each other."""
        self.cut(left, right)
        self.cut(right, left)

    def heal(self) -> None:
        """Undo every cut."""
        for source, target in self._cuts:
            self._router("rule", "del", "from", source, "to", target, "blackhole")
        self._cuts.clear()

    def _host(self, host: int) -> str:
        return f"{self._name}h{host}"

    def _router(self, *words: str) -> None:
        _ip("-n", f"{self._name}r", *words)

    def set_up(self) -> None:
        router = f"{self._name}r"
        _ip("netns", "add", router)
        self._router("link", "set", "lo", "up")
        _ip("netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        for host in range(self.hosts):
            name = self._host(host)
            _ip("netns", "add", name)
            self._join(f"v{host}", f"{self._subnet}.{host}", name, "eth0")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "route", "add", "default", "via", f"{self._subnet}.{host}.1")
        self._join("vt", f"{self._subnet}.250", "", f"{self._name}t")
        _ip("route", "add", f"{self._subnet}.0.0/16", "via", f"{self._subnet}.250.1")

    def _join(self, ours: str, subnet: str, namespace: str, theirs: str) -> None:
        """Lay a cable from the router to a namespace, or to the test process."""
        within = ("netns", namespace) if namespace else ()
        peer = ("peer", "name", ours, "netns", f"{self._name}r")
        _ip("link", "add", theirs, *within, "type", "veth", *peer)
        self._router("addr", "add", f"{subnet}.1/30", "dev", ours)
        self._router("link", "set", ours, "up")
        at = ("-n", namespace) if namespace else ()
        _ip(*at, "addr", "add", f"{subnet}.2/30", "dev", theirs)
        _ip(*at, "link", "set", theirs, "up")

    def tear_down(self) -> None:
        _ip("link", "del", f"{self._name}t", check=False)
        for name in (*(self._host(host) for host in range(self.hosts)), f"{self._name}r"):
            _ip("netns", "del", name, check=False)


@contextmanager
def network(hosts: int) -> Iterator[Network]:
    """Make a network of hosts, numbered from 0."""
    made = Network(hosts)
    try:
        made.set_up()
        yield made
    finally:
        made.tear_down()


def _ip(*words: str, check: bool = True) -> int:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20, check=False)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.returncode
