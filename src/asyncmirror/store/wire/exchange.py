"""Requests to one bucket over the lean wire: signed, sent, and corrected where the answer says what was wrong with them.

Owns the three corrections an answer may call for once per request: another region, this machine's clock, credentials that
have just expired. Knows no retry: a correction is no second attempt at what failed but the first at what was meant. Knows no
operation: what is sent, and what its answer confirms, is the business of whoever asks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from asyncmirror.errors import CredentialsError, StoreError
from asyncmirror.model import Body
from asyncmirror.store.answers import to_error
from asyncmirror.store.meter import Meter
from asyncmirror.store.session import Credentials, Endpoint
from asyncmirror.store.wire.addresses import Resolver, resolve
from asyncmirror.store.wire.answer import GIVES, OK, Answer
from asyncmirror.store.wire.document import Document, parse
from asyncmirror.store.wire.place import Place, moved, skew
from asyncmirror.store.wire.pool import IDLE_TIMEOUT, Pool
from asyncmirror.store.wire.request import Request, render_request
from asyncmirror.store.wire.sigv4 import Signer, encode_path, timestamp
from asyncmirror.store.wire.tls import client_context

if TYPE_CHECKING:
    import ssl

Provider: TypeAlias = Callable[[], Awaitable[Credentials | None]]
"""Gives the credentials as of now, None where requests are not signed; raises CredentialsError."""

Head: TypeAlias = Callable[[Place, Signer | None], bytes]
"""Makes a request's head for a place and a signer, as of now."""

_ASK_AGAIN = 30.0  # seconds; the SDK behind the provider renews credentials ten minutes before they expire
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"})


class Exchange:
    """The way to one bucket.

    Args:
        endpoint: Where the bucket is.
        credentials: Asked before the first request and again every half a minute.
        timeout: Seconds to wait for an answer once the body has left; see `Connection.send`.
        connect_timeout: Seconds for one address to connect.
        idle_timeout: Seconds after which an unused connection is closed.
        resolver: Looks the endpoint's name up.
        clock: This machine's time in seconds since the epoch.
        bandwidth: How fast bodies may leave; None: as fast as can be.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Provider,
        *,
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        idle_timeout: float = IDLE_TIMEOUT,
        resolver: Resolver = resolve,
        clock: Callable[[], float] = time.time,
        bandwidth: Meter | None = None,
    ) -> None:
        self._bucket = endpoint.bucket
        self._ca_bundle = endpoint.ca_bundle
        self._provider = credentials
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._resolver = resolver
        self._clock = clock
        self._bandwidth = bandwidth
        self._skew = 0.0
        self._signer: Signer | None = None
        self._ask_at = 0.0
        self._asking = asyncio.Lock()
        self._context: ssl.SSLContext | None = None
        self._pools: list[Pool] = []
        self._has_moved = False
        self._second, self._stamp = 0, ""
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

    # Requests

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

    async def _ask(
        self,
        op: str,
        key: str,
        path: str,
        body: Body,
        head: Head,
        corrected: frozenset[str] = frozenset(),
        *,
        streams: bool = False,
    ) -> tuple[Answer, Document | None]:
        """Send a request and correct what can be corrected; gives a success.

        Args:
            op: What is asked.
            key: Of what; for errors only.
            path: The same as it stands at the end of the URL.
            body: What goes behind the head.
            head: Makes the head, for this place and signer, as of now.
            corrected: What is not to be corrected (again).
            streams: What a success carries are an object's bytes, whatever they are: see `Connection.send`.
        """
        try:
            while True:
                if self._is_due():
                    await self._renew(self._signer, expired=False)
                place, signer, offset = self._place, self._signer, self._skew
                answer = await self._pool.request(head(place, signer), body, self._timeout, streams=streams)
                if streams and answer.status in GIVES:
                    return answer, None
                document = parse(answer.body) if answer.body else None
                if answer.status == OK and (not answer.body or (document is not None and document.root != "Error")):
                    return answer, document
                corrected |= {await self._correct(corrected, path, answer, document, (place, signer, offset), op, key)}
        except StoreError as error:
            error.op, error.path = op, key
            raise

    def _now(self) -> str:
        second = int(self._clock() + self._skew)
        if second != self._second:
            self._second, self._stamp = second, timestamp(second)
        return self._stamp

    def _forget(self) -> None:
        """Place or signer have changed: what was made for the ones before is of no use."""

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
        message = texts.get("Message", "") or ("a success with a document in it" if answer.status == OK else "")
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
            self._forget()

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
            bandwidth=self._bandwidth,
        )
        self._pools.append(self._pool)
        self._forget()
        if self._signer is not None:
            self._signer = Signer(self._signer.credentials, place.region)
