"""URLs of fragment stores."""

import pytest

from gazette_py.errors import ValidationError
from gazette_py.protocol.store_url import StoreURL


@pytest.mark.parametrize(
    ("url", "scheme", "host", "path"),
    [
        ("s3://bucket/prefix/", "s3", "bucket", "/prefix/"),
        ("S3://bucket/", "s3", "bucket", "/"),
        ("gs://bucket/a/b/", "gs", "bucket", "/a/b/"),
        ("azure://container/p/", "azure", "container", "/p/"),
        ("file:///dir/", "file", "", "/dir/"),
        ("file:/dir/", "file", "", "/dir/"),
        ("azure-ad://tenant/account/container/p/", "azure-ad", "tenant", "/p/"),
        ("azure-ad://tenant/account/container/", "azure-ad", "tenant", "/"),
        ("s3://user@bucket/a%20b/#fragment", "s3", "bucket", "/a b/"),
    ],
)
def test_urls(url: str, scheme: str, host: str, path: str) -> None:
    parsed = StoreURL.parse(url)
    assert (parsed.url, parsed.scheme, parsed.host, parsed.path) == (url, scheme, host, path)


def test_azure_ad_names_account_and_container() -> None:
    parsed = StoreURL.parse("azure-ad://tenant/account/container/p/")
    assert (parsed.account, parsed.container) == ("account", "container")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "not absolute"),
        ("bucket/", "not absolute"),
        ("/dir/", "not absolute"),
        ("s3:///prefix/", "missing bucket"),
        ("gs:///", "missing bucket"),
        ("azure:///", "missing bucket"),
        ("azure-ad:///a/c/", "missing tenant ID"),
        ("azure-ad://tenant", "missing storage account"),
        ("azure-ad://tenant/", "missing storage account"),
        ("azure-ad://tenant/a", "missing storage container"),
        ("azure-ad://tenant/a/", "missing storage container"),
        ("azure-ad://tenant/a/c", "path component doesn't end in '/'"),
        ("azure-ad://tenant/a/c/x", "path component doesn't end in '/'"),
        ("file:dir/", "path component doesn't end in '/'"),
        ("s3://user@/prefix/", "missing bucket"),
        ("s3://bucket/\n/", "not a URL"),
        (" s3://bucket/", "not a URL"),
        ("s3://buc ket/", "not a URL"),
        ("file://host/dir/", "file scheme cannot have host"),
        ("s3://bucket", "path component doesn't end in '/'"),
        ("s3://bucket/prefix", "path component doesn't end in '/'"),
        ("ftp://host/", "invalid scheme (ftp)"),
        ("memory://name/", "invalid scheme (memory)"),
        ("http://[::1/", "not a URL"),
    ],
)
def test_broken_urls(url: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        StoreURL.parse(url, path="Stores[0]")
    assert caught.value.path == "Stores[0]"
    assert reason in caught.value.reason


def test_memory_is_for_who_asks_for_it() -> None:
    assert StoreURL.parse("memory://name/", allow_memory=True).scheme == "memory"


def test_arguments_are_by_lower_case_key_and_the_last_one_wins() -> None:
    parsed = StoreURL.parse("s3://b/?Region=a&REGION=b&acl=&unknown=kept")
    assert parsed.args == {"region": "b", "acl": "", "unknown": "kept"}


@pytest.mark.parametrize(
    ("query", "path", "expected"),
    [
        ("", "a/b/", "a/b/"),
        ("?find=a&replace=x", "a/a/", "x/a/"),
        ("?find=zzz&replace=x", "a/b/", "a/b/"),
        ("?find=a/&replace=", "a/b/", "b/"),
        ("?find=&replace=x", "a/b/", "a/b/"),
        ("?find=a", "a/b/", "/b/"),
    ],
)
def test_rewriting_is_of_the_first_occurrence(query: str, path: str, expected: str) -> None:
    assert StoreURL.parse(f"s3://a/prefix/{query}").rewrite(path) == expected
