"""TLS as a layer of bytes: what came from the network in, plain bytes out, and the other way round. No I/O.

Owns the handshake, session resumption and the reading of certificate faults. Knows no transport and no HTTP. It stands
here, and not asyncio's own TLS, because that can't resume a session and can't tell whether all that was written has left.
"""

import ssl
from contextlib import suppress

from asyncmirror.errors import StoreError, UnreachableError, UntrustedError

_READ_SIZE = 1 << 18


def client_context(ca_bundle: str | None = None) -> ssl.SSLContext:
    """A context that verifies chain and host name, against the authorities in `ca_bundle` alone; None: those the SDK trusts.

    Raises:
        UntrustedError: The bundle can't be read.
    """
    if ca_bundle is None:
        from botocore.httpsession import where  # noqa: PLC0415  takes long to import and is loaded wherever it is needed

        ca_bundle = where()
    try:
        context = ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise UntrustedError(
            f"the CA bundle can't be used: {error}",
            path=ca_bundle,
            hint="give a file of PEM certificates with --ca-bundle",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def to_error(fault: ssl.SSLError, server_name: str) -> StoreError:
    """What a failed handshake means: a certificate that is not trusted ends all; anything else may pass."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return UntrustedError(
            f"the certificate of {server_name} is not trusted: {fault.verify_message}",
            hint="if the store has its own certificate authority, give its certificate with --ca-bundle",
        )
    return UnreachableError(
        f"no TLS connection to {server_name}: {fault.reason or fault}", hint="does the store speak TLS here?"
    )


class TlsLayer:
    """One TLS connection, client side.

    Args:
        context: What to verify against; its settings are not changed.
        server_name: The name the certificate must hold; also sent as SNI.
        session: An earlier connection's session to this same name, to shorten the handshake.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "closed", "ready")

    def __init__(self, context: ssl.SSLContext, server_name: str, session: ssl.SSLSession | None = None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name, session=session)
        self.ready = False
        self.closed = False

    def handshake(self) -> None:
        """Go as far as the bytes at hand allow; sets `ready` at the end.

        Raises:
            ssl.SSLError: It failed. What `pending` gives (an alert) may still be sent.
        """
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.ready = True

    def receive(self, data: bytes) -> bytes:
        """Take what came from the network; gives the plain bytes in it, often none. Sets `closed` at the peer's notice.

        Raises:
            ssl.SSLError: What came is not TLS, or the handshake failed.
        """
        self._incoming.write(data)
        if not self.ready:
            self.handshake()
            if not self.ready:
                return b""
        pieces = []
        # Asking once more than needed would cost an exception per answer.
        while self._incoming.pending or self._object.pending():
            try:
                piece = self._object.read(_READ_SIZE)
            except ssl.SSLWantReadError:
                break
            if not piece:
                self.closed = True
                break
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """The records that carry `data`."""
        self._object.write(data)
        return self._outgoing.read()

    def pending(self) -> bytes:
        """What the layer itself has to say: handshake messages, key updates, alerts."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def farewell(self) -> bytes:
        """The notice that nothing more will be sent (RFC 8446, 6.1)."""
        with suppress(ssl.SSLError):  # it waits for the peer's own notice, which nobody here needs
            self._object.unwrap()
        return self.pending()

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection may resume; with TLS 1.3 it comes with the first bytes after the handshake."""
        return self._object.session

    @property
    def resumed(self) -> bool:
        """Whether the handshake was a short one."""
        return bool(self._object.session_reused)
