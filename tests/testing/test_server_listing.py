from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.testing import S3Server, ServerConfig
from asyncmirror.testing.listing import page
from tests.testing.s3_clients import Boto, Raw

KEYS = st.lists(st.text("ab/é", min_size=1, max_size=6), unique=True)


@given(KEYS, st.text("ab/", max_size=2), st.sampled_from(["", "/"]), st.integers(1, 3))
def test_pages_tell_everything_once_and_in_order(keys: list[str], prefix: str, delimiter: str, limit: int) -> None:
    told: list[str] = []
    after = ""
    for _ in range(len(keys) + 1):
        found = page(sorted(keys), prefix=prefix, after=after, delimiter=delimiter, limit=limit)
        assert len(found.keys) + len(found.prefixes) <= limit
        told += sorted([*found.keys, *found.prefixes])
        after = found.last
        if not after:
            break
    cut = [key.find(delimiter, len(prefix)) if delimiter else -1 for key in keys]
    expected = {key if at < 0 else key[: at + 1] for key, at in zip(keys, cut, strict=True) if key.startswith(prefix)}
    assert told == sorted(expected)


async def _fill(server: S3Server, boto: Boto, keys: list[str]) -> None:
    for key in keys:
        await boto("put_object", Bucket="bucket", Key=key, Body=b"x")
    assert len(server.objects("bucket")) == len(keys)


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects"])
async def test_both_versions_page_through_awkward_keys(server: S3Server, boto: Boto, operation: str) -> None:
    keys = ["a/1", "a/2", "a+b", "b c/ü", "b%2F", "z\x01", "z\u2028", "日本"]
    await _fill(server, boto, keys)
    server.reconfigure(page_size=3)
    pages = await _pages(boto, operation)
    assert [len(one.get("Contents", ())) for one in pages] == [3, 3, 2]
    assert [entry["Key"] for one in pages for entry in one["Contents"]] == sorted(keys)


async def _pages(boto: Boto, operation: str, **arguments: Any) -> list[dict[str, Any]]:
    pages = [await boto(operation, Bucket="bucket", **arguments)]
    while pages[-1]["IsTruncated"]:
        assert len(pages) < 10, "the listing does not come to its end"
        if operation == "list_objects_v2":
            more = {"ContinuationToken": pages[-1]["NextContinuationToken"]}
        else:
            more = {"Marker": pages[-1]["NextMarker"]}
        pages.append(await boto(operation, Bucket="bucket", **arguments, **more))
    return pages


async def test_delimiter_prefix_and_start_after(server: S3Server, boto: Boto) -> None:
    await _fill(server, boto, ["a/1", "a/2/x", "a/2/y", "a/3", "b"])
    pages = await _pages(boto, "list_objects_v2", Delimiter="/", Prefix="a/", MaxKeys=1)
    assert [entry["Key"] for one in pages for entry in one.get("Contents", ())] == ["a/1", "a/3"]
    assert [entry["Prefix"] for one in pages for entry in one.get("CommonPrefixes", ())] == ["a/2/"]
    after = await boto("list_objects_v2", Bucket="bucket", StartAfter="a/2/x")
    assert [entry["Key"] for entry in after["Contents"]] == ["a/2/y", "a/3", "b"]


async def test_without_url_encoding_a_control_character_makes_the_answer_unparsable_as_with_s3(raw: Raw) -> None:
    await raw("PUT", "/bucket/%01", body=b"x")
    assert b"<Key>&#x1;</Key>" in (await raw("GET", "/bucket?list-type=2")).body
    assert b"<Key>%01</Key>" in (await raw("GET", "/bucket?encoding-type=url&list-type=2")).body


async def test_bad_arguments_are_refused(raw: Raw) -> None:
    targets = ["list-type=2&max-keys=x", "encoding-type=xml&list-type=2", "continuation-token=%C3%BC&list-type=2"]
    codes = [(await raw("GET", f"/bucket?{target}")).code for target in targets]
    assert codes == ["InvalidArgument"] * 3


async def test_a_page_is_never_longer_than_the_server_likes(connect: Callable[..., Boto]) -> None:
    async with S3Server(ServerConfig(page_size=2)) as server:
        boto = connect(server)
        await _fill(server, boto, ["a", "b", "c"])
        assert len((await boto("list_objects_v2", Bucket="bucket", MaxKeys=1000))["Contents"]) == 2
