"""`Bodies` over the lean wire: PutObject, UploadPart, GetObject, one attempt each; and whether the bucket is there.

Owns what a request is made of, and what its answer confirms. Where it goes, and what an answer may correct, is `exchange`'s.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType

from asyncmirror.checksum import to_header
from asyncmirror.errors import AccessDeniedError, CorruptedError, RejectedError, ServerFaultError, StoreError
from asyncmirror.model import Algorithm, Body, Checksum, Properties, Stored
from asyncmirror.settings import ObjectOptions
from asyncmirror.store import extent
from asyncmirror.store.meter import Meter
from asyncmirror.store.session import Endpoint
from asyncmirror.store.wire.addresses import Resolver, resolve
from asyncmirror.store.wire.answer import OK, Answer
from asyncmirror.store.wire.exchange import Exchange, Provider
from asyncmirror.store.wire.head import Form, make_form, object_headers, part_headers, render
from asyncmirror.store.wire.place import Place
from asyncmirror.store.wire.pool import IDLE_TIMEOUT
from asyncmirror.store.wire.request import Request
from asyncmirror.store.wire.sigv4 import UNSIGNED_PAYLOAD, Signer, encode_path, encode_query

_TOLD = {algorithm: algorithm.header.encode() for algorithm in Algorithm}
_GET = "GetObject"
_LISTING = "ListBucketResult"  # the document of ListObjectsV2
_MAX_FORMS = 1024  # content types and metadata names come from the user's files: no more than these are kept
_INLINE_HASH = 1 << 20  # bytes; a larger body is hashed on a thread, where hashlib lets the loop go on
_NO_METADATA: Mapping[str, str] = MappingProxyType({})


class Wire(Exchange):
    """The requests of one bucket that carry a body.

    Args:
        endpoint: Where the bucket is; this and all not named here as in `Exchange`.
        credentials: The same.
        options: What is asked of the store for every object.
        unsigned_payload_over_tls: The store is known to verify checksum headers, so over TLS the body needs no SHA-256 too.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Provider,
        options: ObjectOptions | None = None,
        *,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        idle_timeout: float = IDLE_TIMEOUT,
        unsigned_payload_over_tls: bool = False,
        resolver: Resolver = resolve,
        clock: Callable[[], float] = time.time,
        bandwidth: Meter | None = None,
    ) -> None:
        self._options = options or ObjectOptions()
        self._unsigned_over_tls = unsigned_payload_over_tls
        self._forms: dict[tuple[Algorithm, tuple[str, ...] | None], Form] = {}
        super().__init__(
            endpoint,
            credentials,
            timeout=timeout,
            connect_timeout=connect_timeout,
            idle_timeout=idle_timeout,
            resolver=resolver,
            clock=clock,
            bandwidth=bandwidth,
        )

    # The port

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        """Store one object; see `port.Bodies`."""
        etag, told = await self._send("PutObject", key, "", body, checksum, properties)
        return Stored(etag, checksum if told else None)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        """Store one part; see `port.Bodies`."""
        query = encode_query((("partNumber", str(number)), ("uploadId", upload_id)))
        etag, _ = await self._send("UploadPart", key, query, body, checksum, None)
        return etag

    async def get_object(self, key: str, start: int = 0, etag: str = "") -> AsyncIterator[bytes]:
        """An object's bytes, piece by piece; see `port.Bodies`."""
        headers = part_headers(self._options) | extent.wanted(start, etag)
        try:
            path = encode_path(key)
        except UnicodeEncodeError as error:
            raise RejectedError("the key is no Unicode text", op=_GET, path=key) from error
        try:
            answer, _ = await self._ask(_GET, key, path, b"", self._head_of(Request("GET", key, (), headers)), streams=True)
        except StoreError as error:
            if start and error.status == extent.UNSATISFIABLE:
                return  # there is no more of it
            raise
        body, rest = answer.body, answer.rest
        try:
            too_soon = extent.check(key, _told(answer), start, etag)
            if len(body) > too_soon:
                yield body[too_soon:] if too_soon else body
            if rest is not None:
                async for piece in rest.pieces():
                    if len(piece) > too_soon:
                        yield piece[too_soon:] if too_soon else piece
                    too_soon = max(too_soon - len(piece), 0)
        except StoreError as error:
            error.op, error.path = _GET, key
            raise
        finally:
            if rest is not None:
                rest.drop()

    async def check_bucket(self, prefix: str) -> None:
        """Ask for at most one key of a listing; see `port.Store.check_bucket`.

        A region that is wrong is not mended here: the SDK's requests keep to the one that was asked for.
        """
        query = (("list-type", "2"), ("max-keys", "1"), ("prefix", prefix))
        request = Request("GET", "", query, part_headers(self._options))
        head = self._head_of(request)
        try:
            _, document = await self._ask("ListObjectsV2", self._bucket, "", b"", head, frozenset({"place"}))
        except AccessDeniedError:
            return
        if document is None or document.root != _LISTING:
            raise ServerFaultError(
                "the answer is no listing",
                op="ListObjectsV2",
                path=self._bucket,
                status=OK,
                hint="is the endpoint an S3 store?",
            )

    # A request

    async def _send(
        self, op: str, key: str, query: str, body: Body, checksum: Checksum, properties: Properties | None
    ) -> tuple[str, bool]:
        """Send a body; gives the ETag, and whether the store told our checksum again."""
        try:
            path = encode_path(key)
        except UnicodeEncodeError as error:
            raise RejectedError("the key is no Unicode text", op=op, path=key) from error
        value, algorithm = to_header(checksum), checksum.algorithm
        metadata = _NO_METADATA if properties is None else properties.metadata
        if self._unsigned_over_tls and self._place.tls:  # a redirect can't take TLS away
            payload = UNSIGNED_PAYLOAD
        elif algorithm is Algorithm.SHA256:
            payload = checksum.digest.hex()
        else:
            payload = _sha256(body) if len(body) <= _INLINE_HASH else await asyncio.to_thread(_sha256, body)

        def head(place: Place, signer: Signer | None) -> bytes:
            form = self._form(algorithm, properties)
            return render(form, signer, place.path + path, query, len(body), value, payload, self._now(), metadata)

        answer, _ = await self._ask(op, key, path, body, head)
        told = answer.headers.get(_TOLD[algorithm])
        if told is not None and told != value.encode():
            raise CorruptedError("the store confirms another checksum than was sent", op=op, path=key, status=OK)
        etag = answer.headers.get(b"etag", b"").decode("latin-1").strip('"')
        if not etag:
            raise ServerFaultError("the answer has no ETag", op=op, path=key, status=OK)
        return etag, told is not None

    def _form(self, algorithm: Algorithm, properties: Properties | None) -> Form:
        names = None if properties is None else (properties.content_type, *properties.metadata)
        form = self._forms.get((algorithm, names))
        if form is None:
            if properties is None:
                fixed, metadata = part_headers(self._options), _NO_METADATA
            else:
                fixed, metadata = object_headers(self._options), properties.metadata
                if properties.content_type:
                    fixed["content-type"] = properties.content_type
            fixed |= _named(self._place, self._signer)
            if len(self._forms) >= _MAX_FORMS:
                self._forms.clear()
            form = self._forms[algorithm, names] = make_form(fixed, algorithm, metadata)
        return form

    def _forget(self) -> None:
        self._forms = {}


def _named(place: Place, signer: Signer | None) -> dict[str, str]:
    """The headers that say to whom and as whom."""
    token = None if signer is None else signer.credentials.token
    return {"host": place.authority} | ({"x-amz-security-token": token} if token else {})


def _told(answer: Answer) -> extent.Told:
    headers = answer.headers
    etag, span = headers.get(b"etag", b""), headers.get(b"content-range", b"")
    return extent.Told(answer.status, etag.decode("latin-1"), span.decode("latin-1"))


def _sha256(body: Body) -> str:
    return hashlib.sha256(body).hexdigest()
