"""How the SDK's requests reach the wire: one attempt, the whole body, no `Expect`, no redirect, TLS always verified.

Owns the HTTP session that aiobotocore is given in place of its own (`http_session_cls`, its documented hook), and so closes
what its own leaves open: a request sent a second time behind its caller's back (aiohttp repeats an idempotent one on a stale
connection), `Expect: 100-continue` that not every server answers, TLS without verification behind a proxy, and host names
that are checked nowhere (botocore's context leaves them to urllib3, which is not there). Knows no S3 and no key.

Importing this room imports aiobotocore, which takes a good part of a second: only `session` imports it, when it is entered.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self, TypeAlias

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiohttp.abc import AbstractStreamWriter
from botocore.httpsession import ProxyConfiguration, get_cert_path, mask_proxy_url
from multidict import CIMultiDict
from yarl import URL

from asyncmirror.errors import ConnectionFaultError, StoreError, UnreachableError, UntrustedError
from asyncmirror.store.meter import Meter

_SLICE = 256 << 10
_STALLED = 60.0
"""Seconds for a slice of a body, where a limit on the bandwidth leaves the whole body no deadline that could be told before."""
MAX_ANSWER = 32 << 20
"""Bytes of an answer that is kept whole. A listing of 1,000 keys of 1,024 bytes, each percent-encoded, is below 4 MiB."""
Data: TypeAlias = bytes | bytearray | memoryview | str | None


class PreparedRequest(Protocol):
    """What is read of botocore's `AWSPreparedRequest`."""

    method: str
    url: str
    headers: Mapping[str, str | bytes]
    body: Data
    stream_output: bool


class _Slices(aiohttp.Payload):
    """A body written slice by slice, each a copy: a transport may hold on to what it has not sent, and buffers are reused."""

    def __init__(self, body: memoryview, bandwidth: Meter) -> None:
        super().__init__(body)
        self._size = body.nbytes
        self._body = body
        self._bandwidth = bandwidth
        self._carried = 0

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        rest = self._body
        self.let_go()
        self._carried = len(rest)
        self._bandwidth.carried += self._carried
        while rest:
            size = _SLICE
            if self._bandwidth.limited:
                size = min(len(rest), self._bandwidth.slice)
                await self._bandwidth.turn(size)
            async with asyncio.timeout(_STALLED if self._bandwidth.limited else None):
                await writer.write(bytes(rest[:size]))
            rest = rest[size:]

    def let_go(self) -> None:
        """It was answered, or given up."""
        self._bandwidth.carried -= self._carried
        self._carried = 0


async def _content(response: aiohttp.ClientResponse) -> bytes:
    """An answer to its end, so that the connection is free again.

    Raises:
        ConnectionFaultError: It is longer than any that is asked for: it may have no end.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > MAX_ANSWER:
                break
            pieces.append(piece)
        else:
            return b"".join(pieces)
    except BaseException:
        response.close()
        raise
    response.close()
    raise ConnectionFaultError(f"the answer is longer than {MAX_ANSWER >> 20} MiB")


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Turn what makes aiohttp send a request again into what doesn't: attempts are counted by `retry`, and only there."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # nothing was sent, and aiohttp does not repeat it
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error) or type(error).__name__) from error


class HttpSession:
    """The session of one client, made by aiobotocore with these keywords."""

    def __init__(
        self,
        *,
        verify: bool | str = True,
        proxies: dict[str, str] | None = None,
        timeout: tuple[float | None, float | None] = (None, None),
        max_pool_connections: int = 10,  # noqa: ARG002  who sends requests bounds them, and turns the bound while they go on
        socket_options: object = None,  # noqa: ARG002  aiobotocore passes it, its own session ignores it too
        client_cert: str | tuple[str, str] | None = None,
        proxies_config: dict[str, str] | None = None,
        connector_args: dict[str, float] | None = None,
        bandwidth: Meter | None = None,
    ) -> None:
        self._ca_bundle = verify if isinstance(verify, str) else None
        self._client_cert = client_cert
        self._proxies = ProxyConfiguration(proxies=proxies, proxies_settings=proxies_config)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeout[0], sock_read=timeout[1])
        self._keepalive = (connector_args or {}).get("keepalive_timeout", 15.0)
        self._bandwidth = bandwidth or Meter()
        self._context: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=self._keepalive),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            skip_auto_headers={"Content-Type"},
            auto_decompress=False,
            middlewares=(_once,),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def send(self, request: PreparedRequest) -> AioAWSResponse:
        """Send one request once.

        Raises:
            StoreError: No answer came: `UnreachableError`, `UntrustedError` or `ConnectionFaultError`.
        """
        assert self._session is not None
        proxy = self._proxies.proxy_url_for(request.url)
        headers = CIMultiDict((name, _text(value)) for name, value in request.headers.items())
        headers["Accept-Encoding"] = "identity"
        # A server that ignores it leaves the client waiting; the signature does not cover it.
        headers.pop("Expect", None)
        chunked = True if headers.pop("Transfer-Encoding", "").lower() == "chunked" else None
        body = request.body
        slices = self._slices(body) if isinstance(body, bytes | bytearray | memoryview) and body else None
        try:
            response = await self._session.request(
                request.method,
                URL(request.url, encoded=True),
                headers=headers,
                data=body if slices is None else slices,
                chunked=chunked,
                proxy=proxy,
                proxy_headers=self._proxies.proxy_headers_for(request.url),
                ssl=self._verified() if request.url.startswith("https:") else True,
                allow_redirects=False,
            )
            answer = AioAWSResponse(
                str(response.url),
                response.status,
                {name.decode("utf-8").lower(): value.decode("utf-8", "replace") for name, value in response.raw_headers},
                response,
            )
            if not request.stream_output:
                answer._content = await _content(response)  # noqa: SLF001  what its own `content` would keep
        except (aiohttp.ClientError, OSError) as error:
            raise connection_error(error, mask_proxy_url(proxy) if proxy else "") from error
        finally:
            if slices is not None:
                slices.let_go()
        return answer

    def _slices(self, body: bytes | bytearray | memoryview) -> _Slices:
        # What the SDK makes itself (the list of parts, a request for credentials) is no view, and goes at once.
        return _Slices(memoryview(body).cast("B"), self._bandwidth if isinstance(body, memoryview) else Meter())

    def _verified(self) -> ssl.SSLContext:
        """The one TLS context: certificate and host name are checked, directly and through any proxy."""
        if self._context is None:
            path = get_cert_path(self._ca_bundle or True)
            try:
                context = ssl.create_default_context(cafile=path)
            except OSError as error:  # an ssl.SSLError too: a file without certificates
                raise UntrustedError(
                    f"the CA bundle {path} can't be used: {error}",
                    hint="give a PEM file with --ca-bundle or AWS_CA_BUNDLE",
                ) from error
            if isinstance(self._client_cert, str):
                context.load_cert_chain(self._client_cert)
            elif self._client_cert:
                context.load_cert_chain(*self._client_cert)
            self._context = context
        return self._context


class SessionConfig(AioConfig):  # type: ignore[misc]  # the SDK is untyped
    """A client configuration that carries `HttpSession` into every client of a session, those that fetch credentials too.

    aiobotocore's own `merge` forgets the session class (2.25.1).
    """

    def merge(self, other_config: AioConfig) -> AioConfig:
        """This configuration with another one's values over it."""
        merged: AioConfig = super().merge(other_config)
        merged.http_session_cls = self.http_session_cls
        return merged


def connection_error(error: Exception, proxy: str = "") -> StoreError:  # noqa: PLR0911  one return per kind of error
    """What it means that no whole answer came."""
    text = str(error) or type(error).__name__
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return UntrustedError(
                f"the server's certificate is not trusted: {error.certificate_error}",
                hint="give the certificate authority with --ca-bundle; checking can't be turned off",
            )
        case aiohttp.ClientSSLError():
            return UnreachableError(f"no TLS connection: {text}", hint="does the endpoint speak https?")
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return UnreachableError(
                f"the proxy {proxy} does not serve: {text}", hint="check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
            )
        case aiohttp.ClientConnectorDNSError():
            return UnreachableError(
                f"the name {error.host} does not resolve", hint="check --endpoint-url, --region and the network"
            )
        case aiohttp.ClientConnectorError():
            reason = os.strerror(error.os_error.errno) if error.os_error.errno else text
            return UnreachableError(
                f"no connection to {error.host}:{error.port}: {reason}", hint="check --endpoint-url and the network"
            )
        case aiohttp.ConnectionTimeoutError():
            return UnreachableError(f"no connection in time: {text}", hint="check --endpoint-url and the network")
        case _:
            return ConnectionFaultError(f"the connection broke: {text}")


def _text(value: str | bytes) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else value
