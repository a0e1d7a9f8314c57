"""Any one request to a bucket as a value, and its head as text: for whoever looks at what a store does with it.

Owns what such a request says of itself and how it is signed. What it says may be wrong on purpose: a store that verifies
refuses it. Pure: the time is given. PutObject and UploadPart, which a run makes by the million, have their own way (`head`).
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from asyncmirror.store.wire.head import check_value
from asyncmirror.store.wire.sigv4 import EMPTY_PAYLOAD, Signer, canonical_fields, canonical_request, encode_query


class Request(NamedTuple):
    """A request. `key` is empty for the bucket itself; `payload` is what is said of the body's hash, None for the truth."""

    method: str
    key: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    body: bytes = b""
    payload: str | None = None


def render_request(request: Request, signer: Signer | None, authority: str, path: str, stamp: str) -> bytes:
    """The head, complete with the empty line; every header is signed.

    Args:
        request: The request.
        signer: Who signs it; None leaves it unsigned.
        authority: The ``Host`` header.
        path: The bucket's and the key's, percent-encoded.
        stamp: The time as `sigv4.timestamp` gives it.

    Raises:
        RejectedError: A value can't stand in a header.
    """
    payload = request.payload
    if payload is None:
        payload = hashlib.sha256(request.body).hexdigest() if request.body else EMPTY_PAYLOAD
    query = encode_query(request.query)
    headers = {**request.headers, "host": authority, "x-amz-content-sha256": payload, "x-amz-date": stamp}
    if signer is not None and signer.credentials.token:
        headers["x-amz-security-token"] = signer.credentials.token
    for name, value in headers.items():
        check_value(name, value)
    if signer is not None:
        fields, signed = canonical_fields(headers)
        text = canonical_request(request.method, path, query, fields, signed, payload)
        headers["authorization"] = signer.authorization(stamp, text, signed)
    lines = "".join(f"{name}:{value}\r\n" for name, value in headers.items())
    target = f"{path}?{query}" if query else path
    return f"{request.method} {target} HTTP/1.1\r\n{lines}content-length:{len(request.body)}\r\n\r\n".encode("ascii")
