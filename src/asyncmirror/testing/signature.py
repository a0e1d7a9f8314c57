"""AWS Signature Version 4 as the server verifies it, written from the specification and independent of any client here.

Owns the canonical request, the key derivation and the checks on scope, date and session token. Pure: time and
credentials are given. Source: AWS, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
"""

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from asyncmirror.testing.answers import S3Error
from asyncmirror.testing.request import Request

MAX_SKEW = 15 * 60
"""Seconds a request's date may be away from the server's."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^/,\s]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request, *"
    r"SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})"
)
_SPACES = re.compile(r" +")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key pair the server knows. `session_token` is empty for lasting keys; `expires` in seconds since the epoch."""

    access_key: str = "testkey"
    secret_key: str = "testsecret"  # noqa: S105  known to every test
    session_token: str = ""
    expires: float | None = None


class Signed(NamedTuple):
    """A verified signature, and what the chunks of an aws-chunked body are signed with."""

    access_key: str
    key: bytes
    timestamp: str
    scope: str
    signature: str


def verify(request: Request, known: Sequence[Credentials], now: float, region: str, *, all_amz_headers: bool) -> Signed:
    """Verify a request's Authorization header.

    Args:
        request: The request's head.
        known: The credentials the server knows.
        now: The server's time, in seconds since the epoch.
        region: The region the scope must name; empty for any.
        all_amz_headers: Whether every x-amz-* header must be signed, as AWS demands.

    Raises:
        S3Error: AccessDenied, AuthorizationHeaderMalformed, InvalidAccessKeyId, InvalidToken, ExpiredToken,
            RequestTimeTooSkewed or SignatureDoesNotMatch.
    """
    header = request.headers.get("authorization")
    if header is None:
        raise S3Error("AccessDenied", "Access Denied")
    match = _AUTHORIZATION.fullmatch(header.strip())
    if match is None:
        raise S3Error("AuthorizationHeaderMalformed", "The authorization header is malformed.")
    access_key, day, scope_region, service, names, signature = match.groups()
    timestamp = _check_date(request, day, now)
    _check_scope(scope_region, service, region)
    credentials = next((one for one in known if one.access_key == access_key), None)
    if credentials is None:
        raise S3Error("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
    signed_names = names.split(";")
    _check_signed_headers(request, signed_names, all_amz_headers=all_amz_headers)
    scope = f"{day}/{scope_region}/{service}/aws4_request"
    key = signing_key(credentials.secret_key, day, scope_region, service)
    canonical = _canonical_request(request, signed_names)
    expected = _sign(key, f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}".encode())
    if not hmac.compare_digest(expected, signature):
        message = (
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        )
        extra = (("AWSAccessKeyId", access_key), ("CanonicalRequest", canonical.decode("latin-1")))
        raise S3Error("SignatureDoesNotMatch", message, extra=extra)
    _check_token(request, credentials, now)
    return Signed(access_key, key, timestamp, scope, signature)


def verify_chunks(signed: Signed, chunks: Iterable[tuple[bytes, str]]) -> str:
    """Verify the signatures of an aws-chunked body's chunks in order, the empty last one included; gives the last signature.

    Raises:
        S3Error: SignatureDoesNotMatch.
    """
    previous = signed.signature
    empty = hashlib.sha256(b"").hexdigest()
    for data, given in chunks:
        digest = hashlib.sha256(data).hexdigest()
        lines = ("AWS4-HMAC-SHA256-PAYLOAD", signed.timestamp, signed.scope, previous, empty, digest)
        previous = _sign(signed.key, "\n".join(lines).encode())
        if not hmac.compare_digest(previous, given):
            raise S3Error("SignatureDoesNotMatch", "The signature of a chunk does not match.")
    return previous


def verify_trailer(signed: Signed, previous: str, trailer: bytes, given: str) -> None:
    """Verify the signature over an aws-chunked body's trailer (lines of ``name:value``).

    Raises:
        S3Error: SignatureDoesNotMatch.
    """
    lines = ("AWS4-HMAC-SHA256-TRAILER", signed.timestamp, signed.scope, previous, hashlib.sha256(trailer).hexdigest())
    if not hmac.compare_digest(_sign(signed.key, "\n".join(lines).encode()), given):
        raise S3Error("SignatureDoesNotMatch", "The signature of the trailer does not match.")


def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """The key of a scope: a day as ``YYYYMMDD``, a region and a service."""
    key = f"AWS4{secret}".encode()
    for step in (day, region, service, "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def _sign(key: bytes, what: bytes) -> str:
    return hmac.digest(key, what, "sha256").hex()


def _check_date(request: Request, day: str, now: float) -> str:
    timestamp = request.headers.get("x-amz-date", "")
    try:
        moment = calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))
    except ValueError as error:
        raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") from error
    if not timestamp.startswith(day):
        raise S3Error("SignatureDoesNotMatch", "The date of the credential's scope is not the request's.")
    if abs(moment - now) > MAX_SKEW:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        extra = (("RequestTime", timestamp), ("ServerTime", stamp), ("MaxAllowedSkewMilliseconds", str(MAX_SKEW * 1000)))
        message = "The difference between the request time and the current time is too large."
        raise S3Error("RequestTimeTooSkewed", message, extra=extra)
    return timestamp


def _check_scope(scope_region: str, service: str, region: str) -> None:
    if service != "s3":
        raise S3Error("AuthorizationHeaderMalformed", f"The authorization header is malformed; service {service} is not s3.")
    if region and scope_region != region:
        message = f"The authorization header is malformed; the region '{scope_region}' is wrong; expecting '{region}'"
        raise S3Error("AuthorizationHeaderMalformed", message, extra=(("Region", region),))


def _check_signed_headers(request: Request, names: Sequence[str], *, all_amz_headers: bool) -> None:
    if "host" not in names or list(names) != sorted(set(names)):
        raise S3Error("AuthorizationHeaderMalformed", "SignedHeaders must be sorted and contain host.")
    demanded = [name for name in request.headers if name.startswith("x-amz-")] if all_amz_headers else ["x-amz-date"]
    missing = sorted(set(demanded).difference(names))
    if missing:
        message = "There were headers present in the request which were not signed"
        raise S3Error("AccessDenied", message, extra=(("HeadersNotSigned", ", ".join(missing)),))


def _check_token(request: Request, credentials: Credentials, now: float) -> None:
    token = request.headers.get("x-amz-security-token", "")
    if credentials.session_token and not token:
        raise S3Error("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
    if token != credentials.session_token:
        raise S3Error("InvalidToken", "The provided token is malformed or otherwise invalid.")
    if credentials.expires is not None and now >= credentials.expires:
        raise S3Error("ExpiredToken", "The provided token has expired.")


def _canonical_request(request: Request, names: Sequence[str]) -> bytes:
    path = quote(unquote_to_bytes(request.path), safe="/-_.~")
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in request.query)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    headers = "".join(f"{name}:{_SPACES.sub(' ', request.headers.get(name, '').strip())}\n" for name in names)
    payload = request.headers.get("x-amz-content-sha256", "")
    return "\n".join((request.method, path, query, headers, ";".join(names), payload)).encode("latin-1", "replace")
