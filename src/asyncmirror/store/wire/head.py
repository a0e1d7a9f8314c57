"""The head of a request as text: what is signed is what is sent.

Owns which headers a body goes up with, their canonical order, and that no key or value can break out of its place. Everything
that objects of one kind have in common is a `Form`, made once; the rest is filled in for each request. Pure: the time is given.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from asyncmirror.errors import RejectedError
from asyncmirror.model import Algorithm
from asyncmirror.settings import ObjectOptions
from asyncmirror.store.wire.sigv4 import Signer, canonical_request, canonical_value

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2: what a header's name is made of


class Form(NamedTuple):
    """The headers of a kind of request; `fields` is a %-template for checksum, payload hash, time and metadata values."""

    fields: str
    signed: str
    metadata: tuple[str, ...] = ()


def object_headers(options: ObjectOptions) -> dict[str, str]:
    """The headers that every PutObject has by what the user asked for."""
    chosen = {
        "if-none-match": None if options.overwrite else "*",
        "x-amz-acl": options.acl,
        "x-amz-request-payer": options.request_payer,
        "x-amz-server-side-encryption": options.sse,
        "x-amz-server-side-encryption-aws-kms-key-id": options.sse_kms_key_id,
        "x-amz-storage-class": options.storage_class,
    }
    return {name: value for name, value in chosen.items() if value}


def part_headers(options: ObjectOptions) -> dict[str, str]:
    """The headers that every UploadPart has: all else was said when the upload was created."""
    return {"x-amz-request-payer": options.request_payer} if options.request_payer else {}


def make_form(fixed: Mapping[str, str], algorithm: Algorithm, metadata: Mapping[str, str]) -> Form:
    """The form of requests with these headers, this checksum and metadata of these names (the values don't matter).

    Raises:
        RejectedError: A name or a value can't stand in a header.
    """
    names = tuple(sorted(metadata))
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise RejectedError(f"{name!r} can't be the name of a header", hint="name metadata with letters, digits and dashes")
    values = {name: canonical_value(value).replace("%", "%%") for name, value in fixed.items() if check_value(name, value)}
    gaps = (algorithm.header, "x-amz-content-sha256", "x-amz-date", *("x-amz-meta-" + name.lower() for name in names))
    lines = sorted((values | dict.fromkeys(gaps, "%s")).items())
    fields = "".join(f"{name}:{value}\n" for name, value in lines)
    return Form(fields, ";".join(name for name, _ in lines), names)


def check_value(name: str, value: str) -> bool:
    """See that a value can stand in a header: printable ASCII, so neither CR nor LF.

    Raises:
        RejectedError: It can't.
    """
    if not (value.isascii() and value.isprintable()):
        raise RejectedError(f"the value of {name} is not printable ASCII", hint="percent-encode it")
    return True


def render(
    form: Form,
    signer: Signer | None,
    path: str,
    query: str,
    size: int,
    checksum: str,
    payload: str,
    stamp: str,
    metadata: Mapping[str, str],
) -> bytes:
    """The head of a PUT, complete with the empty line.

    Args:
        form: The kind of request.
        signer: Who signs it; None leaves it unsigned.
        path: The path, percent-encoded.
        query: The query, in canonical form.
        size: The body's, in bytes.
        checksum: The checksum header's value.
        payload: The body's SHA-256 in hexadecimal, or `sigv4.UNSIGNED_PAYLOAD`.
        stamp: The time as `sigv4.timestamp` gives it.
        metadata: Values for the names that the form was made with.

    Raises:
        RejectedError: A value can't stand in a header.
    """
    values = [metadata[name] for name in form.metadata]
    canonical = values
    for value in values:
        if not (value.isascii() and value.isprintable()):
            raise RejectedError("a value of the metadata is not printable ASCII", hint="percent-encode it")
        if value != " ".join(value.split()):
            canonical = [canonical_value(each) for each in values]
    fields = form.fields % (checksum, payload, stamp, *canonical)
    sent = fields if canonical is values else form.fields % (checksum, payload, stamp, *values)
    authorization = ""
    if signer is not None:
        request = canonical_request("PUT", path, query, fields, form.signed, payload)
        authorization = f"authorization:{signer.authorization(stamp, request, form.signed)}\r\n"
    target = f"{path}?{query}" if query else path
    return (f"PUT {target} HTTP/1.1\r\n" + sent.replace("\n", "\r\n") + f"{authorization}content-length:{size}\r\n\r\n").encode(
        "ascii"
    )
