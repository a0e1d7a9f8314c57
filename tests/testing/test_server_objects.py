import base64
import hashlib
from collections.abc import Callable

import pytest

from asyncmirror.checksum import compute, to_header
from asyncmirror.model import Algorithm
from asyncmirror.testing import RGW, STORAGEGRID, LoggedRequest, S3Server, ServerConfig
from tests.testing.s3_clients import Boto, Raw


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_every_checksum_is_verified_kept_and_told(server: S3Server, raw: Raw, boto: Boto, algorithm: Algorithm) -> None:
    good = {algorithm.header: to_header(compute(algorithm, b"one"))}
    assert (await raw("PUT", "/bucket/a", good, b"two")).code == "BadDigest"
    assert (await raw("PUT", "/bucket/a", {algorithm.header: "AAAA"}, b"one")).code == "InvalidRequest"
    assert not server.objects("bucket")
    answer = await raw("PUT", "/bucket/a", good, b"one")
    assert (answer.status, answer.headers[algorithm.header]) == (200, good[algorithm.header])
    told = await boto("head_object", Bucket="bucket", Key="a", ChecksumMode="ENABLED")
    assert told[f"Checksum{algorithm.value}"] == good[algorithm.header]


async def test_two_checksums_or_one_that_was_announced_but_not_sent_are_refused(raw: Raw) -> None:
    both = {one.header: to_header(compute(one, b"x")) for one in (Algorithm.CRC32, Algorithm.SHA1)}
    assert (await raw("PUT", "/bucket/a", both, b"x")).code == "InvalidRequest"
    assert (await raw("PUT", "/bucket/a", {"x-amz-sdk-checksum-algorithm": "CRC32"}, b"x")).code == "InvalidRequest"


async def test_content_md5_is_verified(raw: Raw) -> None:
    md5 = base64.b64encode(hashlib.md5(b"one").digest()).decode()
    codes = [
        (await raw("PUT", "/bucket/a", {"content-md5": value}, body)).code
        for value, body in ((md5, b"one"), (md5, b"two"), ("AAAA", b"one"))
    ]
    assert codes == ["", "BadDigest", "InvalidDigest"]


async def test_a_store_that_ignores_checksums_neither_verifies_nor_tells_them(raw: Raw, server: S3Server) -> None:
    server.reconfigure(profile=RGW)
    answer = await raw("PUT", "/bucket/a", {"x-amz-checksum-crc32": "AAAAAA=="}, b"one")
    assert (answer.status, "x-amz-checksum-crc32" in answer.headers) == (200, False)


async def test_an_object_comes_back_as_it_was_put(boto: Boto) -> None:
    etag = hashlib.md5(b"0123456789").hexdigest()
    put = await boto("put_object", Bucket="bucket", Key="a", Body=b"0123456789", Metadata={"m": "1"}, ContentType="x/y")
    assert put["ETag"] == f'"{etag}"'
    got = await boto("get_object", Bucket="bucket", Key="a")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (b"0123456789", {"m": "1"}, "x/y")
    head = await boto("head_object", Bucket="bucket", Key="a")
    assert (head["ContentLength"], head["ETag"]) == (10, f'"{etag}"')
    await boto("delete_object", Bucket="bucket", Key="a")
    assert await boto.code("get_object", Bucket="bucket", Key="a") == "NoSuchKey"


@pytest.mark.parametrize(("wanted", "body"), [("2-4", b"234"), ("7-", b"789"), ("-2", b"89"), ("5-99", b"56789")])
async def test_ranges(boto: Boto, wanted: str, body: bytes) -> None:
    await boto("put_object", Bucket="bucket", Key="a", Body=b"0123456789")
    got = await boto("get_object", Bucket="bucket", Key="a", Range=f"bytes={wanted}")
    assert (got["Body"].read(), got["ResponseMetadata"]["HTTPStatusCode"]) == (body, 206)


async def test_a_range_beyond_the_end_is_refused(boto: Boto) -> None:
    await boto("put_object", Bucket="bucket", Key="a", Body=b"0123456789")
    assert await boto.code("get_object", Bucket="bucket", Key="a", Range="bytes=10-") == "InvalidRange"


async def test_conditional_writes(boto: Boto, server: S3Server) -> None:
    first = await boto("put_object", Bucket="bucket", Key="a", Body=b"1", IfNoneMatch="*")
    assert await boto.code("put_object", Bucket="bucket", Key="a", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert await boto.code("put_object", Bucket="bucket", Key="a", Body=b"2", IfMatch='"other"') == "PreconditionFailed"
    assert await boto.code("put_object", Bucket="bucket", Key="b", Body=b"2", IfMatch=first["ETag"]) == "NoSuchKey"
    await boto("put_object", Bucket="bucket", Key="a", Body=b"3", IfMatch=first["ETag"])
    assert server.objects("bucket")["a"].body == b"3"
    server.reconfigure(profile=STORAGEGRID)
    await boto("put_object", Bucket="bucket", Key="a", Body=b"4", IfNoneMatch="*")
    assert server.objects("bucket")["a"].body == b"4"


async def test_keys_end_at_1024_bytes(raw: Raw) -> None:
    codes = [(await raw("PUT", "/bucket/" + "%C3%BC" * 512 + more, body=b"x")).code for more in ("", "a")]
    assert codes == ["", "KeyTooLongError"]


async def test_a_key_that_is_no_utf8_is_refused(raw: Raw) -> None:
    assert (await raw("PUT", "/bucket/%FF", body=b"x")).code == "InvalidURI"


async def test_a_body_needs_a_length_and_has_a_limit(raw: Raw, server: S3Server) -> None:
    headers = {"transfer-encoding": "chunked"}
    assert (await raw("PUT", "/bucket/a", headers, b"x", sent=b"1\r\nx\r\n0\r\n\r\n")).code == "MissingContentLength"
    answer = await raw("PUT", "/bucket/a", body=b"x", late_headers={"content-length": str((5 << 30) + 1)})
    assert (answer.status, answer.code) == (400, "EntityTooLarge")
    assert not server.objects("bucket")


async def test_user_metadata_ends_at_2_kib(boto: Boto) -> None:
    assert await boto.code("put_object", Bucket="bucket", Key="a", Body=b"", Metadata={"m": "x" * 2048}) == "MetadataTooLarge"


async def test_who_may_not_list_may_not_know_what_is_missing(boto: Boto, server: S3Server) -> None:
    await boto("put_object", Bucket="bucket", Key="a", Body=b"x")
    server.reconfigure(may_list=False)
    assert await boto.code("list_objects_v2", Bucket="bucket") == "AccessDenied"
    assert await boto.code("head_object", Bucket="bucket", Key="missing") == "403"
    await boto("head_object", Bucket="bucket", Key="a")
    server.reconfigure(denied=frozenset({"PutObject"}))
    assert await boto.code("put_object", Bucket="bucket", Key="a", Body=b"x") == "AccessDenied"


async def test_missing_buckets_and_unknown_operations_are_named(boto: Boto) -> None:
    assert await boto.code("put_object", Bucket="missing", Key="a", Body=b"x") == "NoSuchBucket"
    assert await boto.code("get_object_tagging", Bucket="bucket", Key="a") == "NotImplemented"
    source = {"Bucket": "bucket", "Key": "a"}
    assert await boto.code("copy_object", Bucket="bucket", Key="b", CopySource=source) == "NotImplemented"


async def test_buckets(boto: Boto) -> None:
    await boto("create_bucket", Bucket="other")
    assert await boto.code("create_bucket", Bucket="other") == "BucketAlreadyOwnedByYou"
    await boto("head_bucket", Bucket="other")
    assert [bucket["Name"] for bucket in (await boto("list_buckets"))["Buckets"]] == ["bucket", "other"]
    assert (await boto("get_bucket_location", Bucket="other"))["LocationConstraint"] is None
    await boto("put_object", Bucket="other", Key="a", Body=b"x")
    assert await boto.code("delete_bucket", Bucket="other") == "BucketNotEmpty"
    await boto("delete_objects", Bucket="other", Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})
    await boto("delete_bucket", Bucket="other")
    assert await boto.code("head_bucket", Bucket="other") == "404"


async def test_who_may_see_a_bucket_is_told_in_all_three_ways(boto: Boto) -> None:
    await boto("create_bucket", Bucket="open", ACL="public-read")
    assert await boto.code("get_bucket_policy_status", Bucket="open") == "NoSuchBucketPolicy"
    assert await boto.code("get_public_access_block", Bucket="open") == "NoSuchPublicAccessBlockConfiguration"
    assert "AllUsers" in str((await boto("get_bucket_acl", Bucket="open"))["Grants"])
    assert "AllUsers" not in str((await boto("get_bucket_acl", Bucket="bucket"))["Grants"])
    assert await boto.code("get_bucket_policy_status", Bucket="bucket") == "NoSuchBucketPolicy"
    block = (await boto("get_public_access_block", Bucket="bucket"))["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}


async def test_opaque_etags_differ_for_equal_bytes(server: S3Server, boto: Boto) -> None:
    profile = type(RGW)("opaque", md5_etags=False)
    server.reconfigure(profile=profile)
    etags = {(await boto("put_object", Bucket="bucket", Key=key, Body=b"x"))["ETag"] for key in ("a", "b")}
    assert len(etags) == 2


async def test_the_log_tells_every_request(server: S3Server, boto: Boto) -> None:
    await boto("put_object", Bucket="bucket", Key="a", Body=b"four")
    await boto.code("get_object", Bucket="bucket", Key="b")
    first, second = server.requests
    assert first == LoggedRequest(1, "PutObject", "bucket", "a", {}, 200, "", 4, 0, "", done=True, fault="", connection=1)
    assert (second.number, second.op, second.status, second.code, second.done) == (2, "GetObject", 404, "NoSuchKey", False)
    assert second.connection == 1, "the connection is kept"


async def test_latency_holds_answers_back(connect: Callable[..., Boto]) -> None:
    async with S3Server(ServerConfig(latency=0.3)) as server:
        boto = connect(server, config={"read_timeout": 0.1})
        with pytest.raises(Exception, match="Read timeout"):
            await boto("head_bucket", Bucket="bucket")
        await connect(server)("head_bucket", Bucket="bucket")
