"""What the server says: replies, S3's errors, and the XML in both.

Owns the shape of an answer. Knows no operation and no socket.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias
from xml.sax.saxutils import escape

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
Tree: TypeAlias = "str | int | Iterable[tuple[str, Tree]]"
"""The inside of an XML element: text, or child elements in order."""

_CONTROL = {code: f"&#x{code:x};" for code in (*range(0x20), 0x7F)}
_STATUS = {
    **dict.fromkeys(("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"), 403),
    **dict.fromkeys(
        ("NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NoSuchPublicAccessBlockConfiguration", "NoSuchBucketPolicy"), 404
    ),
    "MethodNotAllowed": 405,
    **dict.fromkeys(("BucketAlreadyOwnedByYou", "BucketNotEmpty", "ConditionalRequestConflict"), 409),
    "MissingContentLength": 411,
    "PreconditionFailed": 412,
    "InvalidRange": 416,
    "InternalError": 500,
    "NotImplemented": 501,
    **dict.fromkeys(("SlowDown", "ServiceUnavailable"), 503),
}


class Reply(NamedTuple):
    """An answer before it is written: status, headers in order, and body."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    code: str = ""

    def header(self, name: str) -> str | None:
        """A header's value by its exact name."""
        return next((value for key, value in self.headers if key == name), None)

    def without(self, name: str) -> "Reply":
        """The same without a header."""
        return self._replace(headers=tuple(pair for pair in self.headers if pair[0] != name))


class S3Error(Exception):
    """The request is refused with one of S3's error codes (Amazon S3 API Reference, "Error responses")."""

    def __init__(self, code: str, message: str = "", *, status: int = 0, extra: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message or code
        self.status = status or _STATUS.get(code, 400)
        self.extra = tuple(extra)


def text(value: str) -> str:
    """Text as it stands in XML. Control characters become character references, as S3 writes them: parsers refuse those."""
    return escape(value).translate(_CONTROL)


def element(name: str, inside: Tree) -> str:
    """One XML element."""
    if isinstance(inside, str | int):
        return f"<{name}>{text(str(inside))}</{name}>"
    return f"<{name}>{''.join(element(child, value) for child, value in inside)}</{name}>"


def document(root: str, inside: Iterable[tuple[str, Tree]]) -> bytes:
    """A whole XML document in S3's namespace."""
    children = "".join(element(name, value) for name, value in inside)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{children}</{root}>'.encode()


def xml_reply(root: str, inside: Iterable[tuple[str, Tree]], headers: Iterable[tuple[str, str]] = ()) -> Reply:
    """200 with an XML document."""
    return Reply(200, (("Content-Type", "application/xml"), *headers), document(root, inside))


def error_document(error: S3Error, resource: str, request_id: str) -> bytes:
    """S3's error document, which stands in no namespace."""
    inside = (
        ("Code", error.code),
        ("Message", error.message),
        *error.extra,
        ("Resource", resource),
        ("RequestId", request_id),
        ("HostId", "asyncmirror-testing"),
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{element("Error", inside)}'.encode()


def error_reply(error: S3Error, resource: str, request_id: str) -> Reply:
    """An error as S3 answers it."""
    extra = tuple(("x-amz-bucket-region", value) for name, value in error.extra if name == "Region")
    headers = (("Content-Type", "application/xml"), *extra)
    return Reply(error.status, headers, error_document(error, resource, request_id), error.code)
