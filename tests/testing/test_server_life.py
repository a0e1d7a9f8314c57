"""The server as a whole: other clients, TLS, its own defects, and the doors that tests reach in by."""

import asyncio
import hashlib
import ssl
from dataclasses import replace

import aioboto3
import pytest
import trustme
from botocore.config import Config

from asyncmirror.testing import AWS, Fault, FaultPlan, Kind, S3Server, ServerConfig, StoredObject, StoredPart, dispatch
from tests.testing.s3_clients import Boto, Raw


async def test_aioboto3_uploads_a_large_file_in_parts_in_the_same_loop() -> None:
    async with S3Server() as server:
        session = aioboto3.Session("testkey", "testsecret", region_name="us-east-1")
        config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_supported")
        async with session.client("s3", endpoint_url=server.url, config=config) as client:
            created = await client.create_multipart_upload(Bucket="bucket", Key="k", ChecksumAlgorithm="CRC64NVME")
            upload = {"Bucket": "bucket", "Key": "k", "UploadId": created["UploadId"]}
            bodies = [b"a" * (5 << 20), b"b"]
            answers = await asyncio.gather(
                *(client.upload_part(**upload, PartNumber=n, Body=body) for n, body in enumerate(bodies, 1)),
                return_exceptions=True,
            )
            # This client sends CRC32 where nothing else is asked for; the upload was declared with CRC64NVME.
            assert ["InvalidRequest" in str(answer) for answer in answers] == [True, True]
            parts = []
            for number, body in enumerate(bodies, 1):
                answer = await client.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm="CRC64NVME")
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            await client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        md5s = b"".join(hashlib.md5(body).digest() for body in bodies)
        stored = server.objects("bucket")["k"]
        assert (stored.etag, stored.body) == (f"{hashlib.md5(md5s).hexdigest()}-2", b"".join(bodies))


@pytest.mark.parametrize("kind", [Kind.RESET_AFTER, Kind.LOST_ANSWER, Kind.TRUNCATED, Kind.STALL])
async def test_faults_strike_over_tls_too(kind: Kind) -> None:
    authority = trustme.CA()
    context, trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(trust)
    async with S3Server(ServerConfig(tls=context, profile=AWS, faults=FaultPlan((Fault("*", kind),)))) as server:
        headers = Raw(server, secure=True).sign("PUT", "/bucket/a", {}, b"x", "UNSIGNED-PAYLOAD")
        head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": 1}.items())
        reader, writer = await asyncio.open_connection(server.config.host, server.port, ssl=trust)
        writer.write(f"PUT /bucket/a HTTP/1.1\r\n{head}\r\nx".encode())
        answer = b""
        try:
            async with asyncio.timeout(0.3 if kind is Kind.STALL else 5):
                answer = await reader.read()
        except (ConnectionResetError, TimeoutError, ssl.SSLError):
            pass
        assert answer.startswith(b"HTTP/1.1 200 OK") is (kind is Kind.TRUNCATED)
        assert b"\r\n\r\n" not in answer
        assert ("a" in server.objects("bucket")) is (kind in (Kind.LOST_ANSWER, Kind.TRUNCATED))
        writer.transport.abort()


async def test_a_defect_of_the_server_does_not_pass_for_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(dispatch, "OPERATIONS", {**dispatch.OPERATIONS, "PutObject": broken})
    with pytest.raises(ExceptionGroup) as caught:
        async with S3Server() as server:
            assert (await Raw(server)("PUT", "/bucket/a", body=b"x")).code == "InternalError"
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)


async def test_objects_can_be_placed_and_taken_away_by_somebody_else(server: S3Server, boto: Boto) -> None:
    server.put("bucket", "theirs", StoredObject(b"x", "etag", server.clock.now()))
    assert (await boto("head_object", Bucket="bucket", Key="theirs"))["ETag"] == '"etag"'
    server.remove("bucket", "theirs")
    assert await boto.code("head_object", Bucket="bucket", Key="theirs") == "404"


async def test_an_upload_of_2500_parts_is_listed_in_three_pages(server: S3Server, boto: Boto) -> None:
    created = await boto("create_multipart_upload", Bucket="bucket", Key="k")
    upload = {"Bucket": "bucket", "Key": "k", "UploadId": created["UploadId"]}
    await boto("upload_part", **upload, PartNumber=1, Body=b"x")
    stored = server.uploads("bucket")[upload["UploadId"]]
    stored.parts.update({number: replace(stored.parts[1], number=number) for number in range(2, 2501)})
    assert isinstance(stored.parts[2500], StoredPart)
    lengths, marker = [], 0
    for _ in range(3):
        answer = await boto("list_parts", **upload, PartNumberMarker=marker)
        lengths.append((len(answer["Parts"]), answer["IsTruncated"]))
        marker = answer["NextPartNumberMarker"]
    assert lengths == [(1000, True), (1000, True), (500, False)]


async def test_a_kept_connection_can_be_dropped_at_rest(server: S3Server) -> None:
    reader, writer = await asyncio.open_connection(server.config.host, server.port)
    writer.write(b"GET /bucket/a HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"</Error>")
    assert server.connections == 1
    server.drop_connections()
    assert await reader.read() == b""
    writer.close()
    assert server.connections == 0
