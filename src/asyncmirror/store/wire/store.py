"""The whole store with the lean wire in it: bodies go and come over the wire, all else over aioboto3.

Owns the choice between the two for bodies. The wire serves wherever it can; behind a proxy the SDK does: `sdk_serves`. Where
the configuration is plain the SDK is not even loaded before the first request that needs it: many a run has none.
"""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from asyncmirror.model import Body, Checksum, Properties, Stored
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store.configured import plain
from asyncmirror.store.guarantees import is_amazon
from asyncmirror.store.meter import Meter
from asyncmirror.store.s3 import S3Store
from asyncmirror.store.session import Credentials, Endpoint
from asyncmirror.store.wire.plane import Wire


class WireStore(S3Store):
    """A bucket over aioboto3, with PutObject, UploadPart and GetObject over the lean wire. To be entered before use.

    Args:
        bucket: Its name.
        connection: Which store, as whom.
        objects: What is asked of the store for every object.
        max_connections: Requests that may be under way at once.
        timeout: Seconds to wait for the answer to a body.
        bandwidth: How fast bodies may leave; None: as fast as can be.
    """

    def __init__(
        self,
        bucket: str,
        connection: Connection,
        objects: ObjectOptions,
        max_connections: int,
        timeout: float = 60.0,
        bandwidth: Meter | None = None,
    ) -> None:
        super().__init__(bucket, connection, objects, max_connections, bandwidth)
        self._objects = objects
        self._timeout = timeout
        self.endpoint: Endpoint | None = None
        """Where requests go. Known once the store is entered."""
        self._wire: Wire | None = None
        self.sdk_serves = ""
        """Why bodies go over the SDK; empty where they don't. Known once the store is entered."""

    async def __aenter__(self) -> Self:
        found = plain(self._bucket, self._connection)
        endpoint = self.endpoint = found.endpoint if found else (await self.session()).endpoint
        if endpoint.proxied:
            self.sdk_serves = "a proxy stands before the store"
            return self
        try:
            self._wire = Wire(
                endpoint,
                self._credentials,
                self._objects,
                timeout=self._timeout,
                # Of other stores it is not known beforehand that they verify every x-amz-checksum-*.
                unsigned_payload_over_tls=self._connection.unsigned_payload or is_amazon(endpoint.url),
                bandwidth=self._bandwidth,
            )
        except BaseException as error:
            await super().__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._wire is not None:
                await self._wire.close()
        finally:
            await super().__aexit__(kind, error, trace)

    async def _credentials(self) -> Credentials | None:
        """As of now: who writes new keys into a file or has them refreshed need not begin anew."""
        found = plain(self._bucket, self._connection)
        return found.credentials if found else await (await self.session()).credentials()

    @property
    def wire(self) -> Wire | None:
        """The lean wire; None where the SDK serves."""
        return self._wire

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        """See `port.Bodies.put_object`."""
        if self._wire is None:
            return await super().put_object(key, body, checksum, properties)
        return await self._wire.put_object(key, body, checksum, properties)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        """See `port.Bodies.upload_part`."""
        if self._wire is None:
            return await super().upload_part(key, upload_id, number, body, checksum)
        return await self._wire.upload_part(key, upload_id, number, body, checksum)

    def get_object(self, key: str, start: int = 0, etag: str = "") -> AsyncIterator[bytes]:
        """See `port.Bodies.get_object`."""
        if self._wire is None:
            return super().get_object(key, start, etag)
        return self._wire.get_object(key, start, etag)

    async def check_bucket(self, prefix: str) -> None:
        """See `port.Store.check_bucket`."""
        if self._wire is None:
            return await super().check_bucket(prefix)
        return await self._wire.check_bucket(prefix)
