"""AWS Signature Version 4 in the Authorization header, as S3 wants it. Pure.

Owns canonical forms, the signing key and the signature. Knows no clock, no connection and no operation: the time is given.
S3 differs from other services in one point: a path is percent-encoded once and is never normalised.
Source: AWS, "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk".
"""

import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from asyncmirror.store.session import Credentials

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
"""Stands for the payload's hash where TLS and a checksum header guard the body instead."""

EMPTY_PAYLOAD = hashlib.sha256().hexdigest()
"""The hash of no body at all."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_TERMINATOR = "aws4_request"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.~-]*")
_BLOCK_SIZE = 64  # SHA-256's, in bytes (FIPS 180-4)
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))  # RFC 2104, for bytes.translate
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


def timestamp(now: float) -> str:
    """A time in seconds since the epoch as ``x-amz-date`` has it."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


def encode_path(path: str) -> str:
    """Percent-encode a path once: all but the unreserved characters and the slash.

    Raises:
        UnicodeEncodeError: It holds half a surrogate pair, which no URL can carry.
    """
    return path if _PLAIN_PATH.fullmatch(path) else quote(path, safe="/-_.~")


def encode_query(parameters: Iterable[tuple[str, str]]) -> str:
    """A query string in canonical form, which is also the form to send: encoded, then sorted by name and value."""
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parameters)
    return "&".join(f"{name}={value}" for name, value in pairs)


def canonical_value(value: str) -> str:
    """A header's value in canonical form: no white space at the ends, single spaces within."""
    return " ".join(value.split())


def canonical_fields(headers: Mapping[str, str]) -> tuple[str, str]:
    """The canonical lines of some headers, each with its newline, and the list of their names."""
    fields = sorted((name.lower(), canonical_value(value)) for name, value in headers.items())
    return "".join(f"{name}:{value}\n" for name, value in fields), ";".join(name for name, _ in fields)


def canonical_request(method: str, path: str, query: str, fields: str, signed: str, payload: str) -> str:
    """The text whose hash is signed.

    Args:
        method: The HTTP method.
        path: The path as `encode_path` gives it.
        query: The query as `encode_query` gives it.
        fields: The canonical header lines as `canonical_fields` gives them.
        signed: The names of the signed headers as `canonical_fields` gives them.
        payload: The body's SHA-256 in hexadecimal, or `UNSIGNED_PAYLOAD`.
    """
    return f"{method}\n{path}\n{query}\n{fields}\n{signed}\n{payload}"


def signing_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    """The key for one day (``YYYYMMDD``), region and service."""
    key = ("AWS4" + secret_key).encode()
    for text in (day, region, service, _TERMINATOR):
        key = hmac.digest(key, text.encode(), "sha256")
    return key


class Signer:
    """Signs for one set of credentials, one region and one service; derives the key once a day.

    The two halves of the HMAC that depend on the key alone are hashed beforehand and copied for each request:
    that is less than half the work of a whole HMAC.
    """

    __slots__ = ("_credential", "_day", "_inner", "_outer", "_prefix", "credentials", "region", "service")

    def __init__(self, credentials: Credentials, region: str, service: str = "s3") -> None:
        self.credentials = credentials
        self.region = region
        self.service = service
        self._begin("")

    def _begin(self, day: str) -> None:
        key = signing_key(self.credentials.secret_key, day, self.region, self.service).ljust(_BLOCK_SIZE, b"\0")
        scope = f"{day}/{self.region}/{self.service}/{_TERMINATOR}"
        self._inner = hashlib.sha256(key.translate(_INNER_PAD))
        self._outer = hashlib.sha256(key.translate(_OUTER_PAD))
        self._prefix = f"\n{scope}\n"
        self._credential = f"{_ALGORITHM} Credential={self.credentials.access_key}/{scope}, SignedHeaders="
        self._day = day

    def signature(self, stamp: str, request: str) -> str:
        """The signature in hexadecimal of a canonical request made at `stamp` (as `timestamp` gives it)."""
        if stamp[:8] != self._day:
            self._begin(stamp[:8])
        inner = self._inner.copy()
        inner.update(f"{_ALGORITHM}\n{stamp}{self._prefix}{hashlib.sha256(request.encode()).hexdigest()}".encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def authorization(self, stamp: str, request: str, signed: str) -> str:
        """The value of the ``Authorization`` header; `signed` as in `canonical_request`."""
        signature = self.signature(stamp, request)
        return f"{self._credential}{signed}, Signature={signature}"
