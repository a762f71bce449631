import pytest

from gazette_py.errors import StoreDeniedError, StoreMissingError, StoreUnavailableError
from gazette_py.stores.s3_answers import (
    ListedObject,
    ListPage,
    classify,
    is_still_gzip,
    parse_error,
    parse_list_page,
)

PAGE = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>bucket</Name><Prefix>a/</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>
  <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
  <Contents>
    <Key>a/date%3D2024/b+c%2Bd</Key><LastModified>2024-01-02T03:04:05.678Z</LastModified>
    <ETag>&quot;x&quot;</ETag><Size>12</Size><StorageClass>STANDARD</StorageClass>
    <Owner><ID>someone</ID><Key>not a key</Key></Owner>
  </Contents>
  <Contents>
    <Key>a/e</Key><LastModified>1970-01-01T00:00:01Z</LastModified><Size>0</Size>
  </Contents>
  <NextContinuationToken>1/abc==</NextContinuationToken>
</ListBucketResult>"""


def test_a_page_has_objects_and_the_next_token() -> None:
    assert parse_list_page(PAGE) == ListPage(
        (
            ListedObject(key="a/date=2024/b c+d", mod_time=1704164645, size=12),
            ListedObject(key="a/e", mod_time=1, size=0),
        ),
        "1/abc==",
    )


def test_keys_are_taken_literally_unless_said_to_be_encoded() -> None:
    page = parse_list_page(PAGE.replace(b"<EncodingType>url</EncodingType>", b""))

    assert page.objects[0].key == "a/date%3D2024/b+c%2Bd"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (PAGE[:-10], "malformed listing"),
        (b"", "malformed listing"),
        (b"<html></html>", "not a listing: html"),
        (PAGE.replace(b"<Size>12</Size>", b""), "has no 'Size'"),
        (PAGE.replace(b"NextContinuationToken", b"NextMarker"), "does not say where"),
        (b"<Error><Code>InternalError</Code></Error>", "not a listing: Error"),
    ],
)
def test_a_body_which_is_no_whole_page_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_list_page(body)


@pytest.mark.parametrize(
    ("header", "is_gzip"),
    [
        ("gzip", True),
        ("aws-chunked, GZIP", True),
        ("aws-chunked,gzip", True),
        ("", False),
        ("br", False),
    ],
)
def test_content_which_is_still_encoded_says_so(header: str, is_gzip: bool) -> None:
    assert is_still_gzip(header) is is_gzip


def test_errors_have_code_and_message() -> None:
    body = b"<Error><Code>NoSuchBucket</Code><Message>There is none</Message></Error>"

    assert parse_error(body) == ("NoSuchBucket", "There is none")
    assert parse_error(b"<html>") == ("", "")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchKey", StoreMissingError),
        (404, "404", StoreMissingError),
        (404, "NoSuchBucket", StoreDeniedError),
        (403, "SignatureDoesNotMatch", StoreDeniedError),
        (403, "", StoreDeniedError),
        (400, "ExpiredToken", StoreDeniedError),
        (400, "RequestTimeout", StoreUnavailableError),
        (429, "", StoreUnavailableError),
        (301, "PermanentRedirect", StoreDeniedError),
        (500, "InternalError", StoreUnavailableError),
        (503, "SlowDown", StoreUnavailableError),
        (200, "InternalError", StoreUnavailableError),  # S3 may complete an upload so.
    ],
)
def test_errors_are_sorted_by_who_can_mend_them(status: int, code: str, kind: type) -> None:
    assert classify(status, code) is kind
