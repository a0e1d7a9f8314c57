"""The port: all that the project ever asks of an object store.

Owns the two Protocols and nothing else. `Bodies` is the part that is called for every object and may be served by a lean
adapter of its own; `Store` is the whole. An adapter makes exactly one attempt per call, raises only `StoreError`s (and
`asyncio.CancelledError`), and never reports success that the store did not confirm. Retrying, limiting and deadlines are
decorators (`retry`, `limit`), not an adapter's business. Bucket, storage class, encryption, ACL and request payer are
given to the adapter when it is made; keys are complete (prefix included) and already encoded by `plan.keys`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from asyncmirror.errors import StoreError
from asyncmirror.model import (
    Algorithm,
    Body,
    Checksum,
    Properties,
    Receipt,
    RemoteObject,
    RemotePart,
    RemoteUpload,
    Stored,
    Visibility,
)

MOST_DELETED = 1000
"""S3's most keys in one DeleteObjects."""


class Bodies(Protocol):
    """Requests of which one side carries a body."""

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        """Store one object in one request, with its checksum and exact length.

        Raises:
            StoreError: It is not known to be stored. The same call may be made again.
        """
        ...

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        """Store part `number` (1 to 10,000) of an upload and give its ETag, which is never empty.

        Raises:
            UploadGoneError: The upload does not exist (any more).
            StoreError: The part is not known to be stored. The same call may be made again.
        """
        ...

    def get_object(self, key: str, start: int = 0, etag: str = "") -> AsyncIterator[bytes]:
        """An object's bytes from byte `start` on, in pieces of at most a few MiB.

        With `etag` only those of the object that has it, so that what broke off can go on: a piece that was given is a piece
        of that object, whether more follow or not. Not more than there are: where `start` is the end, none.

        Raises:
            PreconditionError: Another object has this key by now.
            StoreError: It broke off. The same call may be made again, from where it did.
        """
        ...


class Store(Bodies, Protocol):
    """A bucket."""

    async def create_multipart_upload(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        """Begin an upload, declaring checksum algorithm and type; gives the upload id, never empty."""
        ...

    async def complete_multipart_upload(
        self, key: str, upload_id: str, receipts: Sequence[Receipt], size: int, checksum: Checksum
    ) -> Stored:
        """Make the object of its parts (ascending, all of them); `size` in bytes and `checksum` are the object's.

        Raises:
            UploadGoneError: NoSuchUpload. Whether the object is there is for the caller to find out (nonce, size).
            StoreError: Not confirmed; an error inside a 200 answer included.
        """
        ...

    async def abort_multipart_upload(self, key: str, upload_id: str) -> None:
        """Give an upload up and free its parts. An upload that is gone already is no error."""
        ...

    def list_parts(self, key: str, upload_id: str) -> AsyncIterator[RemotePart]:
        """All parts the store has of an upload, all pages, ascending.

        Raises:
            UploadGoneError: The upload does not exist (any more).
        """
        ...

    async def head_object(self, key: str) -> RemoteObject | None:
        """What the store knows of an object, with metadata and checksum where it tells; None if there is none."""
        ...

    def list_objects(self, prefix: str, after: str = "") -> AsyncIterator[RemoteObject]:
        """All objects whose key begins with `prefix` and comes behind `after`, all pages, in the store's (UTF-8 byte) order."""
        ...

    def list_multipart_uploads(self, prefix: str) -> AsyncIterator[RemoteUpload]:
        """All uploads in progress whose key begins with `prefix`, all pages."""
        ...

    async def delete_object(self, key: str) -> None:
        """Remove an object. One that is gone already is no error. Only probes and explicit requests call this."""
        ...

    async def delete_objects(self, keys: Sequence[str]) -> Mapping[str, StoreError]:
        """Remove up to `MOST_DELETED` objects in one request, each answered for. One that is gone already is no error.

        Returns:
            The keys that are not known to be removed, with the reason; one that the answer does not name is among them.

        Raises:
            StoreError: No object is known to be removed. The same call may be made again.
        """
        ...

    async def check_bucket(self, prefix: str) -> None:
        """Find out, with one small request, whether work can begin at all.

        A store that merely forbids listing is fine: not everybody who may write may list.

        Raises:
            CredentialsError, BucketError, UnreachableError, UntrustedError: It can't; the text says what to do.
        """
        ...

    async def visibility(self) -> Visibility:
        """Whether others than the bucket's owner may read it: public, private, or unknown where the store does not say.

        Raises:
            StoreError: No answer came. An answer that says nothing, a refusal too, is `UNKNOWN` instead.
        """
        ...
