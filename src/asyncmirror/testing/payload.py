"""A request's body against all that was said of it: length, payload hash, MD5, checksums, aws-chunked framing.

Owns the verification of bytes. Knows no bucket: what the bytes are for is the operations' business.
Source: Amazon S3 API Reference, "Common request headers"; "Checking object integrity"; "Signature Calculations for the
Authorization Header: Transferring Payload in Multiple Chunks".
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from asyncmirror.checksum import compute, from_header
from asyncmirror.model import Algorithm, Checksum
from asyncmirror.testing.answers import S3Error
from asyncmirror.testing.profiles import AwsChunked, Profile
from asyncmirror.testing.request import Request
from asyncmirror.testing.signature import Signed, verify_chunks, verify_trailer

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_NOT_STREAMED = "A header you provided implies functionality that is not implemented."


class Payload(NamedTuple):
    """A verified body, without framing, and the checksum that was sent with it."""

    data: bytes
    md5: bytes
    checksum: Checksum | None


class _Unframed(NamedTuple):
    data: bytes
    trailers: Mapping[str, str]


def verify(request: Request, body: bytes, signed: Signed | None, profile: Profile, *, plain_unsigned: bool) -> Payload:
    """Verify a body.

    Args:
        request: The request's head.
        body: All bytes that came.
        signed: The verified signature; None for an anonymous request.
        profile: What is verified at all.
        plain_unsigned: Whether UNSIGNED-PAYLOAD is taken without TLS.

    Raises:
        S3Error: InvalidRequest, XAmzContentSHA256Mismatch, NotImplemented, IncompleteBody, InvalidDigest or BadDigest.
    """
    headers = request.headers
    data, trailers = body, headers
    stated = headers.get("x-amz-content-sha256", "")
    if stated.startswith("STREAMING-"):
        if profile.aws_chunked is AwsChunked.REJECT:
            raise S3Error("NotImplemented", _NOT_STREAMED, extra=(("Header", "x-amz-content-sha256"),))
        if profile.aws_chunked is AwsChunked.DECODE:
            data, more = _unframe(body, headers, stated, signed)
            trailers = {**headers, **more}
    elif signed is not None:
        _check_hash(body, stated, plain=not request.secure and not plain_unsigned)
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    if profile.verifies_content_md5:
        _check_md5(md5, headers.get("content-md5"))
    checksum = _check_checksum(data, trailers) if profile.verifies_checksums else None
    return Payload(_framed(data) if profile.frames_bodies else data, md5, checksum)


def _framed(data: bytes) -> bytes:
    """Bytes in aws-chunked framing, unsigned and in one chunk."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n"


def stated_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """The one checksum that headers state, unverified.

    Raises:
        S3Error: InvalidRequest, when there are several or it is none.
    """
    found = [(algorithm, headers[algorithm.header]) for algorithm in Algorithm if algorithm.header in headers]
    if not found:
        return None
    if len(found) > 1:
        raise S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    algorithm, value = found[0]
    checksum = from_header(algorithm, value)
    if checksum is None:
        raise S3Error("InvalidRequest", f"Value for {algorithm.header} header is invalid.")
    return checksum


def _check_hash(body: bytes, stated: str, *, plain: bool) -> None:
    if stated == "UNSIGNED-PAYLOAD":
        if plain:
            raise S3Error("InvalidRequest", "UNSIGNED-PAYLOAD is taken over TLS only.")
        return
    if not _SHA256.fullmatch(stated):
        raise S3Error("InvalidRequest", "Missing or malformed required header for this request: x-amz-content-sha256")
    actual = hashlib.sha256(body).hexdigest()
    if actual != stated:
        extra = (("ClientComputedContentSHA256", stated), ("S3ComputedContentSHA256", actual))
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise S3Error("XAmzContentSHA256Mismatch", message, extra=extra)


def _check_md5(actual: bytes, stated: str | None) -> None:
    if stated is None:
        return
    try:
        digest = base64.b64decode(stated, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != len(actual):
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.")
    if digest != actual:
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")


def _check_checksum(data: bytes, headers: Mapping[str, str]) -> Checksum | None:
    stated = stated_checksum(headers)
    announced = headers.get("x-amz-sdk-checksum-algorithm", "").upper()
    if announced and (stated is None or stated.algorithm.value != announced):
        message = (
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
        )
        raise S3Error("InvalidRequest", message)
    if stated is None:
        return None
    if compute(stated.algorithm, data) != stated:
        name = stated.algorithm.value
        raise S3Error("BadDigest", f"The {name} you specified did not match the calculated checksum.")
    return stated


def _unframe(body: bytes, headers: Mapping[str, str], stated: str, signed: Signed | None) -> _Unframed:
    """Take an aws-chunked body apart and verify its lengths and signatures."""
    chunks: list[tuple[bytes, str]] = []
    position = 0
    while True:
        end = body.find(b"\r\n", position)
        match = _CHUNK.fullmatch(body, position, end) if end >= 0 else None
        if match is None:
            raise S3Error("IncompleteBody", "The request body is no well-formed aws-chunked stream.")
        start, size = end + 2, int(match[1], 16)
        chunks.append((body[start : start + size], (match[2] or b"").decode()))
        position = start + size
        if size == 0:
            break
        if body[position : position + 2] != b"\r\n":
            raise S3Error("IncompleteBody", "A chunk is not as long as it says.")
        position += 2
    data = b"".join(chunk for chunk, _ in chunks)
    if headers.get("x-amz-decoded-content-length") != str(len(data)):
        raise S3Error("IncompleteBody", "x-amz-decoded-content-length is not the number of bytes sent.")
    trailers = _trailers(body[position:], headers.get("x-amz-trailer", ""))
    if stated.startswith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        if signed is None:
            raise S3Error("AccessDenied", "Access Denied")
        last = verify_chunks(signed, chunks)
        if stated.endswith("-TRAILER"):
            lines = "".join(f"{name}:{value}\n" for name, value in trailers.items() if name != "x-amz-trailer-signature")
            verify_trailer(signed, last, lines.encode(), trailers.get("x-amz-trailer-signature", ""))
    return _Unframed(data, trailers)


def _trailers(raw: bytes, announced: str) -> Mapping[str, str]:
    lines = [line for line in raw.decode("latin-1").split("\r\n") if line]
    trailers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    names = {name.strip().lower() for name in announced.split(",") if name.strip()}
    if names != set(trailers) - {"x-amz-trailer-signature"}:
        raise S3Error("MalformedTrailerError", "The request contained trailing data that was not well-formed.")
    return trailers
