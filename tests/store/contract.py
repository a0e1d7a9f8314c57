"""What every store adapter does: one suite of behaviours, told nothing of who is under test but a few traits.

`test_contract.py` lists the subjects. An adapter is added by one more entry there.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol, TypeVar

import pytest

from asyncmirror import checksum as checksums
from asyncmirror.errors import (
    BucketError,
    CorruptedError,
    CredentialsError,
    PreconditionError,
    RejectedError,
    StoreError,
    UploadGoneError,
)
from asyncmirror.model import Algorithm, Body, Checksum, Properties, Receipt, RemoteObject, Stored
from asyncmirror.sizes import MIB
from asyncmirror.store.port import MOST_DELETED, Store

T = TypeVar("T")
CRC = Algorithm.CRC64NVME
PLAIN = Properties("application/octet-stream", {})
PART = 5 * MIB
PAGE = 1000
SLOW_PAGES = "this adapter fills a page in seconds; the wire lists by it, and is shown"
ODD_KEYS = [
    "plain",
    "with space/and more ",
    "plus+plus%2Bpercent%percent",
    "umlaut ä, snowman ☃, plane one 🚀",
    "combining a\u0308",
    "quotes '\" <tag> &amp; & ;",
    "newline\nand\ttab",
    "␛FF",
    "query?a=b&c=d#fragment",
    "back\\slash|pipe^caret~tilde`tick{brace}[bracket]",
    "dots/.hidden/..twice/trailing.",
    "a=b,c:d@e!f$g*h(i)",
    "x" * 900,
]


class Traits(NamedTuple):
    """What a store is known to guarantee."""

    verifies_checksums: bool
    verifies_access_key: bool
    verifies_secret_key: bool
    tells_checksums: bool
    limits_keys: bool = True
    takes_newlines: bool = True
    knows_gone_uploads: bool = True
    creates_uploads_fast: bool = True
    fills_pages: bool = True
    completes_gone_uploads_as: type[StoreError] = UploadGoneError


class Open(Protocol):
    """Opens a store under test: on its bucket with its keys, or on what is given instead."""

    def __call__(
        self, *, bucket: str | None = None, access_key: str | None = None, secret_key: str | None = None
    ) -> AbstractAsyncContextManager[Store]: ...


class Subject(NamedTuple):
    """One store under test. `remote` is False where there is no bucket or key to get wrong."""

    traits: Traits
    open: Open
    remote: bool = True


class Case(NamedTuple):
    """An open store, a prefix nobody else uses, and what is known of the store."""

    store: Store
    prefix: str
    traits: Traits

    async def put(self, name: str, body: Body, properties: Properties = PLAIN, algorithm: Algorithm = CRC) -> Stored:
        return await self.store.put_object(self.prefix + name, body, checksums.compute(algorithm, body), properties)

    async def get(self, name: str) -> bytes:
        return b"".join([piece async for piece in self.store.get_object(self.prefix + name)])

    async def send(self, key: str, upload_id: str, number: int, body: Body, algorithm: Algorithm = CRC) -> Receipt:
        checksum = checksums.compute(algorithm, body)
        etag = await self.store.upload_part(key, upload_id, number, body, checksum)
        return Receipt(number, len(body), etag, checksum)


async def collect(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


async def many(count: int, act: Callable[[int], Awaitable[object]]) -> None:
    """Act on 1 … count, a few at a time."""
    numbers = iter(range(1, count + 1))

    async def worker() -> None:
        for number in numbers:
            await act(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(worker())


def broken(checksum: Checksum) -> Checksum:
    return checksum._replace(digest=bytes([checksum.digest[0] ^ 1]) + checksum.digest[1:])


class ObjectContract:
    """Whole objects."""

    @pytest.mark.parametrize("size", [0, 1, 70_000, 3 * MIB + 1])
    async def test_a_body_comes_back_as_it_was_sent(self, case: Case, size: int) -> None:
        body = bytes(range(256)) * (size // 256 + 1)
        stored = await case.put("object", body[:size])
        head = await case.store.head_object(case.prefix + "object")
        assert head is not None
        assert (head.key, head.size, head.etag) == (case.prefix + "object", size, stored.etag)
        assert await case.get("object") == body[:size]

    async def test_a_body_is_given_from_any_byte_on_and_only_that_of_the_object_that_is_meant(self, case: Case) -> None:
        body = bytes(range(256)) * 2000
        await case.put("object", body)
        head = await case.store.head_object(case.prefix + "object")
        assert head is not None
        for start in (0, 1, len(body) - 1, len(body)):
            pieces = case.store.get_object(head.key, start, head.etag)
            assert b"".join([piece async for piece in pieces]) == body[start:]
        await case.put("object", body[1:])
        for start in (0, 1):
            with pytest.raises(PreconditionError):
                await anext(case.store.get_object(head.key, start, head.etag))

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda body: memoryview(bytearray(body))[:]])
    async def test_any_body_is_taken(self, case: Case, kind: Callable[[bytes], Body]) -> None:
        await case.put("object", kind(b"some bytes"))
        assert await case.get("object") == b"some bytes"

    async def test_a_body_is_not_kept_past_the_request(self, case: Case) -> None:
        buffer = bytearray(b"a" * 400_000)
        await case.put("object", memoryview(buffer)[:300_000])
        buffer[:] = b"b" * len(buffer)
        assert await case.get("object") == b"a" * 300_000

    async def test_properties_are_kept(self, case: Case) -> None:
        metadata = {"mtime": "1700000000.123456789", "nonce": "0123abcd", "note": "a, b; c=d"}
        await case.put("object", b"x", Properties("image/fits", metadata))
        head = await case.store.head_object(case.prefix + "object")
        assert head is not None
        assert dict(head.metadata) == metadata

    async def test_odd_keys(self, case: Case) -> None:
        names = [name for name in ODD_KEYS if case.traits.takes_newlines or "\n" not in name]
        for name in names:
            await case.put(name, name.encode())
        for name in names:
            assert await case.get(name) == name.encode()
            head = await case.store.head_object(case.prefix + name)
            assert head is not None
            assert head.key == case.prefix + name
        listed = [found.key async for found in case.store.list_objects(case.prefix)]
        assert listed == sorted((case.prefix + name for name in names), key=str.encode)
        for name in names:
            await case.store.delete_object(case.prefix + name)
        assert await collect(case.store.list_objects(case.prefix)) == []

    async def test_a_key_that_is_too_long_is_rejected(self, case: Case) -> None:
        if not case.traits.limits_keys:
            pytest.skip("this store takes keys of any length")
        with pytest.raises(RejectedError):
            await case.put("x" * 1025, b"x")

    async def test_an_object_is_replaced(self, case: Case) -> None:
        first = await case.put("object", b"first")
        second = await case.put("object", b"second!")
        assert first.etag != second.etag
        assert await case.get("object") == b"second!"

    @pytest.mark.parametrize("algorithm", list(Algorithm))
    async def test_checksums_are_told(self, case: Case, algorithm: Algorithm) -> None:
        await case.put("object", b"some bytes", algorithm=algorithm)
        head = await case.store.head_object(case.prefix + "object")
        assert head is not None
        if case.traits.tells_checksums:
            assert head.checksum == checksums.compute(algorithm, b"some bytes")
        else:
            assert head.checksum in (None, checksums.compute(algorithm, b"some bytes"))

    @pytest.mark.parametrize("algorithm", list(Algorithm))
    async def test_a_wrong_checksum_is_refused(self, case: Case, algorithm: Algorithm) -> None:
        if not case.traits.verifies_checksums:
            pytest.skip("this store verifies no checksum")
        key = case.prefix + "object"
        with pytest.raises(CorruptedError):
            await case.store.put_object(key, b"some bytes", broken(checksums.compute(algorithm, b"some bytes")), PLAIN)
        assert await case.store.head_object(key) is None

    async def test_a_missing_object_is_none(self, case: Case) -> None:
        assert await case.store.head_object(case.prefix + "missing") is None

    async def test_reading_a_missing_object_fails(self, case: Case) -> None:
        with pytest.raises(StoreError):
            await case.get("missing")

    async def test_deleting_twice_is_fine(self, case: Case) -> None:
        await case.put("object", b"x")
        await case.store.delete_object(case.prefix + "object")
        await case.store.delete_object(case.prefix + "object")
        assert await case.store.head_object(case.prefix + "object") is None


class DeletionContract:
    """Many objects in one request."""

    async def test_many_objects_are_deleted_and_each_is_answered_for(self, case: Case) -> None:
        names = [name for name in ODD_KEYS if case.traits.takes_newlines or "\n" not in name]
        await many(len(names), lambda number: case.put(names[number - 1], b"x"))
        await case.put("stays", b"x")
        keys = [case.prefix + name for name in names]
        assert await case.store.delete_objects([*keys, case.prefix + "was never there"]) == {}
        assert [found.key for found in await collect(case.store.list_objects(case.prefix))] == [case.prefix + "stays"]

    async def test_as_many_as_s3_allows(self, case: Case) -> None:
        assert await case.store.delete_objects([f"{case.prefix}{'ä' * 300}{number}" for number in range(MOST_DELETED)]) == {}


class MultipartContract:
    """Objects in parts."""

    @pytest.mark.parametrize("algorithm", [Algorithm.CRC64NVME, Algorithm.CRC32C, Algorithm.SHA256])
    async def test_parts_out_of_order_make_the_object(self, case: Case, algorithm: Algorithm) -> None:
        key = case.prefix + "multi part"
        bodies = {1: b"1" * PART, 2: b"2" * (PART + 1), 3: b"3" * 17}
        metadata = {"nonce": "42"}
        upload_id = await case.store.create_multipart_upload(key, algorithm, Properties("image/fits", metadata))
        assert upload_id
        receipts = [await case.send(key, upload_id, number, bodies[number], algorithm) for number in (3, 1, 2)]
        receipts.sort()
        listed = await collect(case.store.list_parts(key, upload_id))
        assert [(part.number, part.size, part.etag) for part in listed] == [(r.number, r.size, r.etag) for r in receipts]
        whole = b"".join(bodies[number] for number in (1, 2, 3))
        checksum = checksums.of_parts(algorithm, receipts)
        stored = await case.store.complete_multipart_upload(key, upload_id, receipts, len(whole), checksum)
        head = await case.store.head_object(key)
        assert head is not None
        assert head.size == len(whole)
        assert stored.etag in ("", head.etag)
        assert dict(head.metadata) == metadata
        if case.traits.tells_checksums:
            assert head.checksum == checksum
        assert await case.get("multi part") == whole

    async def test_a_part_sent_again_replaces_the_first(self, case: Case) -> None:
        key = case.prefix + "object"
        upload_id = await case.store.create_multipart_upload(key, CRC, PLAIN)
        await case.send(key, upload_id, 1, b"first")
        receipt = await case.send(key, upload_id, 1, b"second!")
        checksum = checksums.of_parts(CRC, [receipt])
        await case.store.complete_multipart_upload(key, upload_id, [receipt], receipt.size, checksum)
        assert await case.get("object") == b"second!"

    async def test_a_wrong_part_checksum_is_refused(self, case: Case) -> None:
        if not case.traits.verifies_checksums:
            pytest.skip("this store verifies no checksum")
        key = case.prefix + "object"
        upload_id = await case.store.create_multipart_upload(key, CRC, PLAIN)
        with pytest.raises(CorruptedError):
            await case.store.upload_part(key, upload_id, 1, b"part", broken(checksums.compute(CRC, b"part")))
        assert await collect(case.store.list_parts(key, upload_id)) == []

    async def test_a_wrong_object_checksum_is_refused(self, case: Case) -> None:
        if not case.traits.verifies_checksums:
            pytest.skip("this store verifies no checksum")
        key = case.prefix + "object"
        upload_id = await case.store.create_multipart_upload(key, CRC, PLAIN)
        receipt = await case.send(key, upload_id, 1, b"part")
        with pytest.raises(StoreError):
            await case.store.complete_multipart_upload(key, upload_id, [receipt], 4, broken(receipt.checksum))
        assert await case.store.head_object(key) is None

    async def test_a_wrong_size_is_refused(self, case: Case) -> None:
        if not case.traits.verifies_checksums:
            pytest.skip("this store does not compare MpuObjectSize")
        key = case.prefix + "object"
        upload_id = await case.store.create_multipart_upload(key, CRC, PLAIN)
        receipt = await case.send(key, upload_id, 1, b"part")
        with pytest.raises(StoreError):
            await case.store.complete_multipart_upload(key, upload_id, [receipt], 5, receipt.checksum)
        assert await case.store.head_object(key) is None

    async def test_a_part_that_was_never_sent_is_no_object(self, case: Case) -> None:
        key = case.prefix + "object"
        upload_id = await case.store.create_multipart_upload(key, CRC, PLAIN)
        receipt = await case.send(key, upload_id, 1, b"part")
        absent = receipt._replace(number=2)
        with pytest.raises(StoreError):
            await case.store.complete_multipart_upload(
                key, upload_id, [receipt, absent], 8, checksums.of_parts(CRC, [receipt, absent])
            )
        assert await case.store.head_object(key) is None

    async def test_an_unknown_upload_is_gone(self, case: Case) -> None:
        key = case.prefix + "object"
        upload_id = await case.store.create_multipart_upload(key, CRC, PLAIN)
        receipt = await case.send(key, upload_id, 1, b"part")
        await case.store.abort_multipart_upload(key, upload_id)
        with pytest.raises(UploadGoneError):
            await collect(case.store.list_parts(key, upload_id))
        if not case.traits.knows_gone_uploads:
            return  # moto answers 500 to the others
        with pytest.raises(UploadGoneError):
            await case.send(key, upload_id, 1, b"part")
        with pytest.raises(case.traits.completes_gone_uploads_as):
            await case.store.complete_multipart_upload(key, upload_id, [receipt], 4, receipt.checksum)

    async def test_aborting_twice_is_fine(self, case: Case) -> None:
        key = case.prefix + "object"
        upload_id = await case.store.create_multipart_upload(key, CRC, PLAIN)
        await case.store.abort_multipart_upload(key, upload_id)
        await case.store.abort_multipart_upload(key, upload_id)
        assert await collect(case.store.list_multipart_uploads(case.prefix)) == []

    async def test_uploads_in_progress_are_listed(self, case: Case) -> None:
        keys = sorted(case.prefix + name for name in ("a", "b c+d%20e", "ü", "␛FF"))
        uploads = {await case.store.create_multipart_upload(key, CRC, PLAIN): key for key in keys}
        second = await case.store.create_multipart_upload(keys[0], CRC, PLAIN)
        found = await collect(case.store.list_multipart_uploads(case.prefix))
        assert {upload.upload_id: upload.key for upload in found} == {**uploads, second: keys[0]}
        assert all(upload.initiated > 1_200_000_000 for upload in found)
        assert await collect(case.store.list_multipart_uploads(case.prefix + "no")) == []


class ListingContract:
    """Listings longer than a page."""

    async def test_all_parts_are_listed(self, case: Case) -> None:
        if not case.traits.fills_pages:
            pytest.skip(SLOW_PAGES)
        key = case.prefix + "object"
        upload_id = await case.store.create_multipart_upload(key, CRC, PLAIN)
        await many(PAGE + 5, lambda number: case.send(key, upload_id, number, b"x"))
        listed = await collect(case.store.list_parts(key, upload_id))
        assert [part.number for part in listed] == list(range(1, PAGE + 6))
        await case.store.abort_multipart_upload(key, upload_id)

    async def test_all_objects_are_listed_in_order(self, case: Case) -> None:
        if not case.traits.fills_pages:
            pytest.skip(SLOW_PAGES)
        await many(PAGE + 5, lambda number: case.put(f"{'ä' if number % 2 else 'a b'}{number:05}", b"x" * (number % 7)))
        listed = await collect(case.store.list_objects(case.prefix))
        names = [f"{'ä' if number % 2 else 'a b'}{number:05}" for number in range(1, PAGE + 6)]
        assert [found.key for found in listed] == sorted((case.prefix + name for name in names), key=str.encode)
        middle = listed[PAGE // 2].key
        assert await collect(case.store.list_objects(case.prefix, middle)) == listed[PAGE // 2 + 1 :]
        assert all(found.size == int(found.key[-5:]) % 7 and found.etag for found in listed)

    async def test_all_uploads_are_listed(self, case: Case) -> None:
        if not case.traits.fills_pages:
            pytest.skip(SLOW_PAGES)
        if not case.traits.creates_uploads_fast:
            pytest.skip("this store takes 8 s for a page of uploads")
        uploads = set()

        async def create(number: int) -> None:
            key = f"{case.prefix}{number % 300:03} +"
            uploads.add((key, await case.store.create_multipart_upload(key, CRC, PLAIN)))

        await many(PAGE + 5, create)
        listed = await collect(case.store.list_multipart_uploads(case.prefix))
        assert len(listed) == PAGE + 5
        assert {(upload.key, upload.upload_id) for upload in listed} == uploads
        await many(len(listed), lambda number: case.store.abort_multipart_upload(*listed[number - 1][:2]))

    async def test_a_prefix_holds_only_its_own(self, case: Case) -> None:
        for name in ("a/1", "a/2", "ab", "b"):
            await case.put(name, b"x")
        listed: list[RemoteObject] = await collect(case.store.list_objects(case.prefix + "a/"))
        assert [found.key for found in listed] == [case.prefix + "a/1", case.prefix + "a/2"]
        assert await collect(case.store.list_objects(case.prefix + "none/")) == []


class BucketContract:
    """Whether work can begin."""

    async def test_the_right_bucket_is_fine(self, case: Case) -> None:
        await case.store.check_bucket(case.prefix)

    async def test_a_missing_bucket_is_named(self, subject: Subject) -> None:
        if not subject.remote:
            pytest.skip("there is no bucket to miss")
        async with subject.open(bucket="no-such-bucket-here") as store:
            with pytest.raises(BucketError, match="NoSuchBucket") as caught:
                await store.check_bucket("")
        assert "no-such-bucket-here" in str(caught.value)

    async def test_a_wrong_access_key_is_told(self, subject: Subject) -> None:
        if not subject.remote or not subject.traits.verifies_access_key:
            pytest.skip("this store verifies no access key")
        async with subject.open(access_key="nobody") as store:
            with pytest.raises(CredentialsError, match="InvalidAccessKeyId"):
                await store.check_bucket("")

    async def test_a_wrong_secret_key_is_told_and_not_shown(self, subject: Subject) -> None:
        if not subject.remote or not subject.traits.verifies_secret_key:
            pytest.skip("this store verifies no secret key")
        async with subject.open(secret_key="wrong-and-very-secret") as store:
            with pytest.raises(CredentialsError, match="SignatureDoesNotMatch") as caught:
                await store.check_bucket("")
            with pytest.raises(CredentialsError):
                await store.put_object("key", b"x", checksums.compute(CRC, b"x"), PLAIN)
        assert "very-secret" not in repr(caught.value) + str(caught.value)
