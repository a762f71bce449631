"""Which object a URL and a content path name, for the stores of clouds.

Vectors are of the reference: the URL's path without its first slash (for azure-ad, what follows
the container), then the content path, in which the first occurrence of `find` is replaced.
Source: gazette/core broker/stores/{gcs/store,azure/account,azure/ad,common/rewriter}.go.
"""

import pytest

from gazette_py.clock import SYSTEM
from gazette_py.protocol.store_url import StoreURL
from gazette_py.stores.azure import AzureStore
from gazette_py.stores.gcs import GCSStore

PATH = "acme/orders/part-000/date=2024-01-02/0-9-ab.gz"
VECTORS = [
    ("", PATH),
    ("a/prefix/", f"a/prefix/{PATH}"),
    ("a%20b/", f"a b/{PATH}"),
    ("p/?find=orders/&replace=old/", "p/acme/old/part-000/date=2024-01-02/0-9-ab.gz"),
    ("p/?Find=a&Replace=", "p/cme/orders/part-000/date=2024-01-02/0-9-ab.gz"),
    ("orders/?find=orders&replace=x", "orders/acme/x/part-000/date=2024-01-02/0-9-ab.gz"),
    ("p/?find=absent&replace=x", f"p/{PATH}"),
    ("p/?replace=x", f"p/{PATH}"),
    ("p/?find=0&find=1&replace=y&replace=z", "p/acme/orders/part-000/date=2024-0z-02/0-9-ab.gz"),
    ("p/?find=%2Forders&replace=%2Fa+b", "p/acme/a b/part-000/date=2024-01-02/0-9-ab.gz"),
]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCOUNT_NAME", "ACCOUNT_KEY", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_{name}", "abcd")


@pytest.mark.parametrize(
    "place", ["gs://bucket/", "azure://box/", "azure-ad://tenant/account/box/"]
)
@pytest.mark.parametrize(("below", "name"), VECTORS)
async def test_names_are_those_of_the_reference(place: str, below: str, name: str) -> None:
    kind = GCSStore if place.startswith("gs:") else AzureStore
    store = kind(StoreURL.parse(place + below), SYSTEM)

    assert store._key(PATH) == name
    await store.close()
