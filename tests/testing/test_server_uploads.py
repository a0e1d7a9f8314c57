from dataclasses import replace
from typing import Any

import pytest

from asyncmirror.checksum import compute, of_parts, to_header
from asyncmirror.model import Algorithm, Receipt
from asyncmirror.testing import HETZNER, MINIO, RGW, STORAGEGRID, STRICT, Profile, S3Server
from tests.testing.s3_clients import Boto, Raw

ONE, TWO, WHOLE = b"11111111", b"22", b"1111111122"
FULL = [(algorithm, "FULL_OBJECT") for algorithm in Algorithm if algorithm.full_object]
COMPOSITE = [(algorithm, "COMPOSITE") for algorithm in Algorithm if algorithm is not Algorithm.CRC64NVME]


async def _begin(boto: Boto, key: str = "k", **arguments: Any) -> dict[str, Any]:
    created = await boto("create_multipart_upload", Bucket="bucket", Key=key, **arguments)
    return {"Bucket": "bucket", "Key": key, "UploadId": created["UploadId"]}


async def _send(boto: Boto, upload: dict[str, Any], *bodies: bytes, algorithm: Algorithm | None = None) -> list[dict[str, Any]]:
    parts = []
    for number, body in enumerate(bodies, 1):
        sums = {f"Checksum{algorithm.value}": to_header(compute(algorithm, body))} if algorithm else {}
        answer = await boto("upload_part", **upload, PartNumber=number, Body=body, **sums)
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
    return parts


def _sum(algorithm: Algorithm, kind: str, *bodies: bytes) -> str:
    receipts = [Receipt(number, len(body), "", compute(algorithm, body)) for number, body in enumerate(bodies, 1)]
    if kind == "FULL_OBJECT":
        return to_header(of_parts(algorithm, receipts))
    digests = b"".join(receipt.checksum.digest for receipt in receipts)
    return to_header(compute(algorithm, digests)._replace(parts=len(bodies)))


@pytest.mark.parametrize(("algorithm", "kind"), [*FULL, *COMPOSITE])
async def test_the_objects_checksum_is_verified_and_told(server: S3Server, boto: Boto, algorithm: Algorithm, kind: str) -> None:
    name = f"Checksum{algorithm.value}"
    upload = await _begin(boto, ChecksumAlgorithm=algorithm.value, ChecksumType=kind, Metadata={"nonce": "n"})
    parts = await _send(boto, upload, ONE, TWO, algorithm=algorithm)
    wrong = {name: _sum(algorithm, kind, TWO, ONE), "ChecksumType": kind}
    assert await boto.code("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts}, **wrong) == "BadDigest"
    right = {name: _sum(algorithm, kind, ONE, TWO), "ChecksumType": kind, "MpuObjectSize": len(WHOLE)}
    answer = await boto("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts}, **right)
    assert (answer[name], answer["ChecksumType"]) == (right[name], kind)
    stored = server.objects("bucket")["k"]
    assert (stored.body, stored.metadata, stored.part_sizes) == (WHOLE, {"nonce": "n"}, (8, 2))
    assert stored.etag.endswith("-2")
    assert not server.uploads("bucket")


@pytest.mark.parametrize(("name", "kind"), [("CRC64NVME", "COMPOSITE"), ("SHA256", "FULL_OBJECT")])
async def test_an_impossible_checksum_type_is_refused(boto: Boto, name: str, kind: str) -> None:
    arguments = {"ChecksumAlgorithm": name, "ChecksumType": kind}
    assert await boto.code("create_multipart_upload", Bucket="bucket", Key="k", **arguments) == "InvalidRequest"


async def test_parts_must_be_there_with_their_etag_and_in_order(boto: Boto) -> None:
    upload = await _begin(boto)
    one, two = await _send(boto, upload, ONE, TWO)
    cases: list[tuple[list[dict[str, Any]], str]] = [
        ([two, one], "InvalidPartOrder"),
        ([one, one], "InvalidPartOrder"),
        ([one, {**two, "ETag": one["ETag"]}], "InvalidPart"),
        ([one, {**two, "PartNumber": 3}], "InvalidPart"),
        ([], "MalformedXML"),
    ]
    for parts, code in cases:
        assert await boto.code("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts}) == code


async def test_all_parts_but_the_last_have_a_least_size(boto: Boto, server: S3Server) -> None:
    upload = await _begin(boto)
    parts = await _send(boto, upload, b"1234567", TWO)
    assert await boto.code("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts}) == "EntityTooSmall"
    await boto("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts[1:]})
    assert server.objects("bucket")["k"].body == TWO


async def test_the_stated_size_is_verified(boto: Boto) -> None:
    upload = await _begin(boto)
    parts = {"Parts": await _send(boto, upload, ONE, TWO)}
    assert await boto.code("complete_multipart_upload", **upload, MultipartUpload=parts, MpuObjectSize=9) == "InvalidRequest"
    await boto("complete_multipart_upload", **upload, MultipartUpload=parts, MpuObjectSize=10)


async def test_a_part_has_the_declared_algorithm_and_a_composite_object_names_every_parts(boto: Boto) -> None:
    upload = await _begin(boto, ChecksumAlgorithm="SHA256")
    sums = {"ChecksumCRC32": to_header(compute(Algorithm.CRC32, ONE))}
    assert await boto.code("upload_part", **upload, PartNumber=1, Body=ONE, **sums) == "InvalidRequest"
    assert await boto.code("upload_part", **upload, PartNumber=1, Body=ONE) == "InvalidRequest"
    (part,) = await _send(boto, upload, ONE, algorithm=Algorithm.SHA256)
    bare = {"PartNumber": 1, "ETag": part["ETag"]}
    assert await boto.code("complete_multipart_upload", **upload, MultipartUpload={"Parts": [bare]}) == "InvalidRequest"
    wrong = {**part, "ChecksumSHA256": to_header(compute(Algorithm.SHA256, TWO))}
    assert await boto.code("complete_multipart_upload", **upload, MultipartUpload={"Parts": [wrong]}) == "InvalidPart"


@pytest.mark.parametrize("number", [0, 10_001])
async def test_part_numbers_end_at_ten_thousand(raw: Raw, boto: Boto, number: int) -> None:
    upload = await _begin(boto)
    target = f"/bucket/k?partNumber={number}&uploadId={upload['UploadId']}"
    assert (await raw("PUT", target, body=ONE)).code == "InvalidArgument"


async def test_parts_are_listed_page_by_page(server: S3Server, boto: Boto) -> None:
    upload = await _begin(boto)
    await _send(boto, upload, *(b"x" * n for n in range(1, 6)))
    server.reconfigure(page_size=2)
    sizes, marker, more = [], 0, True
    for _ in range(3):
        found = await boto("list_parts", **upload, PartNumberMarker=marker)
        sizes.append([part["Size"] for part in found["Parts"]])
        marker, more = found["NextPartNumberMarker"], found["IsTruncated"]
    assert (sizes, more) == ([[1, 2], [3, 4], [5]], False)


async def test_uploads_are_listed_page_by_page(server: S3Server, boto: Boto) -> None:
    ids = [(await _begin(boto, key))["UploadId"] for key in ("p/a", "p/a", "p/b", "q")]
    server.reconfigure(page_size=1)
    found: list[str] = []
    answer: dict[str, Any] = {}
    markers: dict[str, Any] = {}
    for _ in range(3):
        answer = await boto("list_multipart_uploads", Bucket="bucket", Prefix="p/", **markers)
        found += [upload["UploadId"] for upload in answer["Uploads"]]
        markers = {"KeyMarker": answer.get("NextKeyMarker"), "UploadIdMarker": answer.get("NextUploadIdMarker")}
    assert (found, answer["IsTruncated"]) == (ids[:3], False)


async def test_abort_and_lifecycle_end_an_upload(server: S3Server, boto: Boto) -> None:
    first, second = await _begin(boto), await _begin(boto)
    await boto("abort_multipart_upload", **first)
    assert await boto.code("abort_multipart_upload", **first) == "NoSuchUpload"
    assert server.abort_uploads() == 1
    assert await boto.code("upload_part", **second, PartNumber=1, Body=ONE) == "NoSuchUpload"
    assert await boto.code("list_parts", **second) == "NoSuchUpload"


async def test_an_upload_belongs_to_its_key(boto: Boto) -> None:
    upload = await _begin(boto)
    assert await boto.code("upload_part", **{**upload, "Key": "other"}, PartNumber=1, Body=ONE) == "NoSuchUpload"


@pytest.mark.parametrize(
    ("profile", "expected"),
    [(STRICT, "same"), (RGW, "empty"), (MINIO, "NoSuchUpload"), (STORAGEGRID, "NoSuchUpload"), (HETZNER, "InternalError")],
    ids=lambda value: value.name if isinstance(value, Profile) else None,
)
async def test_a_repeated_complete_is_answered_as_each_store_does(
    server: S3Server, boto: Boto, profile: Profile, expected: str
) -> None:
    server.reconfigure(profile=profile)
    upload = await _begin(boto)
    parts = {"Parts": await _send(boto, upload, ONE, TWO)}
    first = await boto("complete_multipart_upload", **upload, MultipartUpload=parts)
    if expected in ("same", "empty"):
        again = await boto("complete_multipart_upload", **upload, MultipartUpload=parts)
        assert again.get("ETag", "") == (first["ETag"] if expected == "same" else "")
    else:
        assert await boto.code("complete_multipart_upload", **upload, MultipartUpload=parts) == expected


async def test_a_store_may_tell_no_etag_at_complete(server: S3Server, boto: Boto) -> None:
    server.reconfigure(profile=replace(STRICT, complete_tells_etag=False))
    upload = await _begin(boto)
    parts = {"Parts": await _send(boto, upload, ONE)}
    assert not (await boto("complete_multipart_upload", **upload, MultipartUpload=parts)).get("ETag")


async def test_a_complete_may_be_conditional(boto: Boto) -> None:
    await boto("put_object", Bucket="bucket", Key="k", Body=b"x")
    upload = await _begin(boto)
    parts = {"Parts": await _send(boto, upload, ONE)}
    code = await boto.code("complete_multipart_upload", **upload, MultipartUpload=parts, IfNoneMatch="*")
    assert code == "PreconditionFailed"


async def test_a_part_can_be_asked_for_by_its_number(boto: Boto) -> None:
    upload = await _begin(boto)
    parts = {"Parts": await _send(boto, upload, ONE, TWO)}
    await boto("complete_multipart_upload", **upload, MultipartUpload=parts)
    head = await boto("head_object", Bucket="bucket", Key="k", PartNumber=2)
    assert (head["ContentLength"], head["PartsCount"]) == (2, 2)
    assert (await boto("get_object", Bucket="bucket", Key="k", PartNumber=1))["Body"].read() == ONE


async def test_the_log_knows_upload_and_part(server: S3Server, boto: Boto) -> None:
    upload = await _begin(boto)
    await _send(boto, upload, ONE)
    created, sent = server.requests
    assert (created.op, created.upload_id) == ("CreateMultipartUpload", upload["UploadId"])
    assert (sent.op, sent.part_number, sent.upload_id, sent.body_bytes) == ("UploadPart", 1, upload["UploadId"], 8)
