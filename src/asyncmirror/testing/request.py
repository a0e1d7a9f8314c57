"""A request as S3 understands it: which operation, on which bucket and key.

Owns the way from a request line to an operation's name. Pure: verifies nothing and knows no state.
Source: Amazon S3 API Reference, "Request syntax" of each operation; "Virtual hosting of buckets".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from asyncmirror.testing.answers import S3Error

# Sub-resources in the query decide before the bare method does. In order: a request may carry several names.
_BUCKET_OPS: Mapping[tuple[str, str], str] = {
    ("GET", "location"): "GetBucketLocation",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "policyStatus"): "GetBucketPolicyStatus",
    ("GET", "acl"): "GetBucketAcl",
    ("GET", "publicAccessBlock"): "GetPublicAccessBlock",
    ("GET", "versioning"): "GetBucketVersioning",
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", ""): "ListObjects",
    ("POST", "delete"): "DeleteObjects",
    ("PUT", ""): "CreateBucket",
    ("HEAD", ""): "HeadBucket",
    ("DELETE", ""): "DeleteBucket",
}
_OBJECT_OPS: Mapping[tuple[str, str], str] = {
    ("PUT", "uploadId"): "UploadPart",
    ("PUT", ""): "PutObject",
    ("GET", "uploadId"): "ListParts",
    ("GET", ""): "GetObject",
    ("HEAD", ""): "HeadObject",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("DELETE", ""): "DeleteObject",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
}
# Sub-resources that would silently turn into another operation if they were overlooked.
_UNKNOWN = frozenset(
    {
        "accelerate",
        "analytics",
        "attributes",
        "cors",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "tagging",
        "torrent",
        "versionId",
        "versions",
        "website",
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head. `path` is as it was sent; `query` and `key` are decoded; header names are lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    secure: bool
    op: str
    bucket: str
    key: str

    def arg(self, name: str, default: str = "") -> str:
        """The first query argument of a name."""
        return next((value for key, value in self.query if key == name), default)

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A query argument that is a number.

        Raises:
            S3Error: InvalidArgument, when it is none or not within the bounds.
        """
        value = self.arg(name)
        if not value:
            return default
        if not (value.isascii() and value.isdecimal() and len(value) < 20 and low <= int(value) <= high):  # noqa: PLR2004  64 bits
            raise S3Error("InvalidArgument", f"{name} must be an integer between {low} and {high}, inclusive")
        return int(value)

    @property
    def part_number(self) -> int:
        """The part number in the query, 0 for none. Not verified."""
        value = self.arg("partNumber")
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 9 else 0  # noqa: PLR2004  fits any integer


def parse_query(raw: str) -> tuple[tuple[str, str], ...]:
    """Name and value pairs, percent-decoded. A plus sign stays one: S3's signature treats it so."""
    pairs = (item.partition("=") for item in raw.split("&") if item)
    return tuple((unquote(name), unquote(value)) for name, _, value in pairs)


def parse(method: str, target: bytes, headers: Mapping[str, str], domains: Sequence[str], *, secure: bool) -> Request:
    """Make a request of its head. `domains` are those below which a host name carries a bucket.

    Raises:
        S3Error: InvalidURI, NotImplemented or MethodNotAllowed.
    """
    path, _, raw_query = target.decode("latin-1").partition("?")
    query = parse_query(raw_query)
    try:
        decoded = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise S3Error("InvalidURI", "Couldn't parse the specified URI.") from error
    if not decoded.startswith("/"):
        raise S3Error("InvalidURI", "Couldn't parse the specified URI.")
    bucket = _bucket_of_host(headers.get("host", ""), domains)
    if bucket:
        key = decoded[1:]
    else:
        bucket, _, key = decoded[1:].partition("/")
    return Request(method, path, query, headers, secure, _operation(method, bucket, key, query), bucket, key)


def _bucket_of_host(host: str, domains: Sequence[str]) -> str:
    name = host.rpartition(":")[0] if ":" in host else host
    for domain in domains:
        if name.endswith("." + domain):
            return name.removesuffix("." + domain)
    return ""


def _operation(method: str, bucket: str, key: str, query: Sequence[tuple[str, str]]) -> str:
    if not bucket:
        if method == "GET":
            return "ListBuckets"
        raise S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.")
    table = _OBJECT_OPS if key else _BUCKET_OPS
    names = [name for name, _ in query]
    if not _UNKNOWN.isdisjoint(names):
        raise S3Error("NotImplemented", "A query parameter you provided implies functionality that is not implemented.")
    found = next((table[method, name] for name in names if (method, name) in table), None) or table.get((method, ""))
    if found is None:
        raise S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.")
    return found
