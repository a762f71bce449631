"""What makes a store healthy, how often that is looked at, and whether it lets us delete.

A check does what a broker does to a store, and is fit to run beside the checks of other brokers,
which all write the same content to the same place.

Source: gazette/core broker/stores/health_check.go.
"""

import io
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from gazette_py.errors import GazetteError
from gazette_py.stores.base import ObjectStream, Store
from gazette_py.stores.fetch import UrlFetcher

CHECK_TIMEOUT_S: Final = 60
SWEEP_INTERVAL_S: Final = 3600

_TEST_PREFIX: Final = ".test/"
_TEST_NAME: Final = "health-check"
_TEST_CONTENT: Final = b"health-check\n"
_SIGN_TTL_S: Final = 300
_DELETE_PROBE_NAME: Final = ".gazette-delete-probe"
_DELETE_PROBE_CONTENT: Final = b"gazette-delete-probe\n"

_INTERVAL_HEALTHY_S: Final = 1800.0
# After the n-th failure in a row. A store which just came up is used at once; one which is down
# for long is left alone.
_INTERVALS_FAILED_S: Final = (0.0, 0.1, 1.0, 1.0, 10.0, 10.0)
_INTERVAL_DOWN_S: Final = 100.0
_JITTER: Final = 0.2


class HealthCheckError(GazetteError):
    """The store answers, but not with what was stored. `reason` tells at which step."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"health check: {reason}")
        self.reason = reason


def next_check_s(checks_failed: int, uniform: Callable[[float, float], float]) -> float:
    """Return the seconds until the next check, after so many failed ones in a row (0: healthy)."""
    if checks_failed == 0:
        interval = _INTERVAL_HEALTHY_S
    elif checks_failed <= len(_INTERVALS_FAILED_S):
        interval = _INTERVALS_FAILED_S[checks_failed - 1]
    else:
        interval = _INTERVAL_DOWN_S
    return interval * uniform(1 - _JITTER, 1 + _JITTER)


def is_check(path: str) -> bool:
    """Tell whether an object is one of those which checks and probes write."""
    return path == _TEST_PREFIX + _TEST_NAME or path.rpartition("/")[2] == _DELETE_PROBE_NAME


async def check(store: Store, fetcher: UrlFetcher) -> None:
    """Put an object, and find it by get, list and signed URL. Deleting is not exercised.

    Raises:
        StoreError: A step failed.
        HealthCheckError: A step found other content, or none.
    """
    path = _TEST_PREFIX + _TEST_NAME
    await store.put(path, lambda: io.BytesIO(_TEST_CONTENT), len(_TEST_CONTENT))
    await _expect_content("GET", await store.get(path))
    if _TEST_NAME not in [info.name async for info in store.list(_TEST_PREFIX)]:
        raise HealthCheckError("LIST did not find the object which was put")
    url = await store.sign_get(path, _SIGN_TTL_S)
    if url.startswith("http"):
        await _expect_content("GET of the signed URL", await fetcher.open(url))


async def check_delete(store: Store, prefix: str) -> None:
    """Write a probe below `prefix`, and remove it.

    Args:
        store: It is asked for more than its brokers need: they delete nothing.
        prefix: Ends in a slash, or is empty.

    Raises:
        StoreError: Either step failed.
    """
    assert not prefix or prefix.endswith("/"), prefix
    path = prefix + _DELETE_PROBE_NAME
    content = _DELETE_PROBE_CONTENT
    await store.put(path, lambda: io.BytesIO(content), len(content))
    await store.remove(path)


async def _expect_content(step: str, stream: ObjectStream) -> None:
    async with aclosing(stream.chunks) as chunks:
        content = b"".join([chunk async for chunk in chunks])
    if content != _TEST_CONTENT:
        raise HealthCheckError(f"{step} returned {content[:100]!r}, not {_TEST_CONTENT!r}")
