import asyncio
from collections.abc import Callable

from asyncmirror.testing import NULL, S3Server, ServerConfig
from asyncmirror.testing.null import ETAG
from tests.testing.s3_clients import Boto


async def test_every_put_succeeds_and_nothing_is_kept(connect: Callable[..., Boto]) -> None:
    async with S3Server(ServerConfig(profile=NULL)) as server:
        boto = connect(server)
        assert (await boto("put_object", Bucket="any", Key="a", Body=b"x" * 300_000))["ETag"] == f'"{ETAG}"'
        assert (await boto("list_objects_v2", Bucket="any"))["KeyCount"] == 0
        assert await boto.code("head_object", Bucket="any", Key="a") == "404"
        assert await boto.code("get_object", Bucket="any", Key="a") == "NotImplemented"
        assert (server.count, server.requests) == (4, ())
        assert server.received > 300_000


async def test_it_lists_what_it_was_told_to_remember(connect: Callable[..., Boto]) -> None:
    async with S3Server(ServerConfig(profile=NULL, remember=True)) as server:
        boto = connect(server)
        for key, size in (("b/ü", 5), ("a", 0), ("b/ü", 7)):
            await boto("put_object", Bucket="any", Key=key, Body=b"x" * size)
        upload = {"Bucket": "any", "Key": "m"}
        upload["UploadId"] = (await boto("create_multipart_upload", **upload))["UploadId"]
        parts = [
            {"PartNumber": n, "ETag": (await boto("upload_part", **upload, PartNumber=n, Body=b"xy"))["ETag"]} for n in (1, 2)
        ]
        await boto("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts})
        found = await boto("list_objects_v2", Bucket="any")
        assert [(entry["Key"], entry["Size"]) for entry in found["Contents"]] == [("a", 0), ("b/ü", 7), ("m", 4)]
        assert (await boto("head_object", Bucket="any", Key="m"))["ContentLength"] == 4
        await boto("delete_object", Bucket="any", Key="a")
        assert (await boto("list_objects_v2", Bucket="any"))["KeyCount"] == 2


async def test_requests_in_any_pieces_are_answered_in_order() -> None:
    async with S3Server(ServerConfig(profile=NULL)) as server:
        reader, writer = await asyncio.open_connection(server.config.host, server.port)
        put = b"PUT /bucket/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789"
        for piece in (put[:7], put[7:40], put[40:] + put + put[:60], put[60:]):
            writer.write(piece)
            await writer.drain()
        writer.write(b"PUT /bucket/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
        assert (await reader.read()).count(b"HTTP/1.1 200 OK\r\n") == 4
        writer.close()


async def test_who_waits_to_be_told_to_go_on_is_told() -> None:
    async with S3Server(ServerConfig(profile=NULL)) as server:
        reader, writer = await asyncio.open_connection(server.config.host, server.port)
        writer.write(b"PUT /bucket/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        writer.close()


async def test_latency_holds_all_answers_back() -> None:
    async with S3Server(ServerConfig(profile=NULL, latency=0.2)) as server:
        reader, writer = await asyncio.open_connection(server.config.host, server.port)
        begun = asyncio.get_running_loop().time()
        writer.write(b"PUT /bucket/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        assert asyncio.get_running_loop().time() - begun >= 0.18
        writer.close()
