"""`Bodies` over the lean wire: PutObject and UploadPart, one attempt each, and the question whether the bucket is there.

Owns what a request is made of, what its answer means, and the three corrections an answer may call for once per request:
another region, this machine's clock, credentials that have just expired. Knows no retry: a correction is no second attempt at
what failed but the first at what was meant.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from asyncmirror.checksum import to_header
from asyncmirror.errors import AccessDeniedError, CorruptedError, CredentialsError, RejectedError, ServerFaultError, StoreError
from asyncmirror.model import Algorithm, Body, Checksum, Properties, Stored
from asyncmirror.settings import ObjectOptions
from asyncmirror.store.answers import to_error
from asyncmirror.store.session import Credentials, Endpoint
from asyncmirror.store.wire.addresses import Resolver, resolve
from asyncmirror.store.wire.answer import Answer
from asyncmirror.store.wire.document import Document, parse
from asyncmirror.store.wire.head import Form, make_form, object_headers, part_headers, render
from asyncmirror.store.wire.place import Place, moved, skew
from asyncmirror.store.wire.pool import IDLE_TIMEOUT, Pool
from asyncmirror.store.wire.request import Request, render_request
from asyncmirror.store.wire.sigv4 import UNSIGNED_PAYLOAD, Signer, encode_path, encode_query, timestamp
from asyncmirror.store.wire.tls import client_context

if TYPE_CHECKING:
    import ssl

Provider: TypeAlias = Callable[[], Awaitable[Credentials | None]]
"""Gives the credentials as of now, None where requests are not signed; raises CredentialsError."""

Head: TypeAlias = Callable[[Place, Signer | None], bytes]
"""Makes a request's head for a place and a signer, as of now."""

_TOLD = {algorithm: algorithm.header.encode() for algorithm in Algorithm}
_LISTING = "ListBucketResult"  # the document of ListObjectsV2
_ASK_AGAIN = 30.0  # seconds; the SDK behind the provider renews credentials ten minutes before they expire
_MAX_FORMS = 1024  # content types and metadata names come from the user's files: no more than these are kept
_INLINE_HASH = 1 << 20  # bytes; a larger body is hashed on a thread, where hashlib lets the loop go on
_OK = 200  # the one status with which S3 confirms a body; another success (202, say) confirms nothing
_NO_METADATA: Mapping[str, str] = MappingProxyType({})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"})


class Wire:
    """The requests of one bucket that carry a body.

    Args:
        endpoint: Where the bucket is.
        credentials: Asked before the first request and again every half a minute.
        options: What is asked of the store for every object.
        timeout: Seconds to wait for an answer once the body has left; see `Connection.send`.
        connect_timeout: Seconds for one address to connect.
        idle_timeout: Seconds after which an unused connection is closed.
        unsigned_payload_over_tls: The store is known to verify checksum headers, so over TLS the body needs no SHA-256 too.
        resolver: Looks the endpoint's name up.
        clock: This machine's time in seconds since the epoch.
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
    ) -> None:
        self._bucket = endpoint.bucket
        self._ca_bundle = endpoint.ca_bundle
        self._provider = credentials
        self._options = options or ObjectOptions()
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._unsigned_over_tls = unsigned_payload_over_tls
        self._resolver = resolver
        self._clock = clock
        self._skew = 0.0
        self._signer: Signer | None = None
        self._ask_at = 0.0
        self._asking = asyncio.Lock()
        self._context: ssl.SSLContext | None = None
        self._pools: list[Pool] = []
        self._has_moved = False
        self._second, self._stamp = 0, ""
        self._forms: dict[tuple[Algorithm, tuple[str, ...] | None], Form] = {}
        self._go_to(Place.of(endpoint))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Requests still waiting fail."""
        for pool in self._pools:
            await pool.close()

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
                status=_OK,
                hint="is the endpoint an S3 store?",
            )

    async def ask(self, request: Request) -> Answer:
        """Send any request as it is given, and give the store's answer whatever it is.

        Raises:
            StoreError: There is no answer, or the request can't be sent.
        """
        path, head = encode_path(request.key), self._head_of(request)
        corrected: frozenset[str] = frozenset()
        while True:
            if self._is_due():
                await self._renew(self._signer, expired=False)
            used = place, signer, _ = self._place, self._signer, self._skew
            answer = await self._pool.request(head(place, signer), request.body, self._timeout)
            if answer.success:
                return answer
            try:
                said = parse(answer.body)
                corrected |= {await self._correct(corrected, path, answer, said, used, request.method, request.key)}
            except StoreError:
                return answer

    def _head_of(self, request: Request) -> Head:
        def head(place: Place, signer: Signer | None) -> bytes:
            path = place.path + encode_path(request.key) if request.key else place.root
            return render_request(request, signer, place.authority, path, self._now())

        return head

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
            raise CorruptedError("the store confirms another checksum than was sent", op=op, path=key, status=_OK)
        etag = answer.headers.get(b"etag", b"").decode("latin-1").strip('"')
        if not etag:
            raise ServerFaultError("the answer has no ETag", op=op, path=key, status=_OK)
        return etag, told is not None

    async def _ask(
        self, op: str, key: str, path: str, body: Body, head: Head, corrected: frozenset[str] = frozenset()
    ) -> tuple[Answer, Document | None]:
        """Send a request and correct what can be corrected; gives a success.

        Args:
            op: What is asked.
            key: Of what; for errors only.
            path: The same as it stands at the end of the URL.
            body: What goes behind the head.
            head: Makes the head, for this place and signer, as of now.
            corrected: What is not to be corrected (again).
        """
        try:
            while True:
                if self._is_due():
                    await self._renew(self._signer, expired=False)
                place, signer, offset = self._place, self._signer, self._skew
                answer = await self._pool.request(head(place, signer), body, self._timeout)
                document = parse(answer.body) if answer.body else None
                if answer.status == _OK and (not answer.body or (document is not None and document.root != "Error")):
                    return answer, document
                corrected |= {await self._correct(corrected, path, answer, document, (place, signer, offset), op, key)}
        except StoreError as error:
            error.op, error.path = op, key
            raise

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

    def _now(self) -> str:
        second = int(self._clock() + self._skew)
        if second != self._second:
            self._second, self._stamp = second, timestamp(second)
        return self._stamp

    # Corrections

    async def _correct(
        self,
        corrected: frozenset[str],
        path: str,
        answer: Answer,
        document: Document | None,
        used: tuple[Place, Signer | None, float],
        op: str,
        key: str,
    ) -> str:
        """Mend what the answer says is wrong, so that the request can be made again, and tell what; else raise."""
        place, signer, offset = used
        texts = {} if document is None else document.texts
        code = texts.get("Code", "")
        message = texts.get("Message", "") or ("a success with a document in it" if answer.status == _OK else "")
        region = texts.get("Region", "") or answer.headers.get(b"x-amz-bucket-region", b"").decode("latin-1")
        error = to_error(op, key, answer.status, code, message, region=region)
        target = moved(place, self._bucket, path, answer, document)
        ahead = skew(answer, document, self._clock())
        if target is not None and "place" not in corrected and (self._place is not place or not self._has_moved):
            if self._place is place:
                self._has_moved = True
                self._go_to(target)
            return "place"
        if ahead is not None and "clock" not in corrected:
            if self._skew == offset:
                self._skew = ahead
            return "clock"
        if code in _EXPIRED and "credentials" not in corrected:
            await self._renew(signer, expired=True)
            if self._signer is not signer:
                return "credentials"
        raise error

    def _is_due(self) -> bool:
        # A clock that was set back must not put the next question off.
        return not 0.0 < self._ask_at - self._clock() <= _ASK_AGAIN

    async def _renew(self, used: Signer | None, *, expired: bool) -> None:
        """Ask for credentials, unless another request has just done so: these differ from `used`, or they are not `expired`."""
        async with self._asking:
            if (expired and self._signer is not used) or not (expired or self._is_due()):
                return
            found = await self._provider()
            self._ask_at = self._clock() + _ASK_AGAIN
            if self._signer is not None and self._signer.credentials == found:
                return
            if found is not None and not (found.access_key + found.secret_key + (found.token or "")).isprintable():
                raise CredentialsError("the credentials hold unprintable characters", hint="was a line break copied with them?")
            self._signer = None if found is None else Signer(found, self._place.region)
            self._forms = {}

    def _go_to(self, place: Place) -> None:
        for pool in self._pools:
            pool.retire()
        self._place = place
        if place.tls and self._context is None:
            self._context = client_context(self._ca_bundle)
        self._pool = Pool(
            place.host,
            place.port,
            self._context if place.tls else None,
            connect_timeout=self._connect_timeout,
            idle_timeout=self._idle_timeout,
            resolver=self._resolver,
        )
        self._pools.append(self._pool)
        self._forms = {}
        if self._signer is not None:
            self._signer = Signer(self._signer.credentials, place.region)


def _named(place: Place, signer: Signer | None) -> dict[str, str]:
    """The headers that say to whom and as whom."""
    token = None if signer is None else signer.credentials.token
    return {"host": place.authority} | ({"x-amz-security-token": token} if token else {})


def _sha256(body: Body) -> str:
    return hashlib.sha256(body).hexdigest()
