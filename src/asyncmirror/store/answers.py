"""What an error answer means: S3's status and code to one of our errors, with a hint where the reader can do something.

Owns the one table that every adapter uses, so that they can't differ. Pure: knows no connection and no library.
Source of the codes: Amazon S3 API Reference, "Error responses"; what Ceph RGW, MinIO and moto answer where they differ.

Any 503 asks for fewer requests, whatever its code: RFC 9110 defines it as a passing overload or maintenance, Amazon answers
SlowDown or ServiceUnavailable while it scales, MinIO has further codes, and a load balancer none. A 500 does not: it is the
failure of one request, which Amazon asks to make again ("Amazon S3 error best practices").
"""

from asyncmirror.errors import (
    AccessDeniedError,
    BucketError,
    CorruptedError,
    CredentialsError,
    PreconditionError,
    RejectedError,
    ServerFaultError,
    StoreError,
    ThrottledError,
    UploadGoneError,
)

_BY_CODE: dict[str, type[StoreError]] = {
    **dict.fromkeys(
        (
            "SlowDown",
            "ServiceUnavailable",
            "Throttling",
            "ThrottlingException",
            "RequestLimitExceeded",
            "TooManyRequests",
            "BandwidthLimitExceeded",
        ),
        ThrottledError,
    ),
    **dict.fromkeys(("InternalError", "RequestTimeout", "OperationAborted"), ServerFaultError),
    **dict.fromkeys(
        ("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody"),
        CorruptedError,
    ),
    **dict.fromkeys(
        (
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "ExpiredTokenException",
            "TokenRefreshRequired",
            "InvalidToken",
            "InvalidSecurity",
            "AccountProblem",
            "NotSignedUp",
        ),
        CredentialsError,
    ),
    **dict.fromkeys(
        (
            "NoSuchBucket",
            "InvalidBucketName",
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "RequestTimeTooSkewed",
        ),
        BucketError,
    ),
    "NoSuchUpload": UploadGoneError,
    "AccessDenied": AccessDeniedError,
    "AllAccessDisabled": AccessDeniedError,
    "PreconditionFailed": PreconditionError,
    "ConditionalRequestConflict": PreconditionError,
}
_BY_STATUS: dict[int, type[StoreError]] = {
    301: BucketError,
    307: ServerFaultError,
    401: CredentialsError,
    403: AccessDeniedError,
    408: ServerFaultError,
    412: PreconditionError,
    429: ThrottledError,
    503: ThrottledError,
}
_ELSEWHERE = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_HINTS = {
    "InvalidAccessKeyId": "the store does not know this access key: check AWS_ACCESS_KEY_ID, --profile and --endpoint-url",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY and --profile",
    "ExpiredToken": "the session token has expired: get new credentials and run the same command again, it goes on",
    "InvalidToken": "the session token is not valid: check AWS_SESSION_TOKEN",
    "NoSuchBucket": "create the bucket first, or check its name, --endpoint-url and --region",
    "PermanentRedirect": "the bucket is in another region: give it with --region",
    "AuthorizationHeaderMalformed": "the bucket is in another region: give it with --region",
    "IllegalLocationConstraintException": "the bucket is in another region: give it with --region",
    "RequestTimeTooSkewed": "this machine's clock is off by more than 15 minutes: set it",
    "AccessDenied": "these credentials may not do this: check the bucket policy",
}
# Ceph RGW's ListParts says it of an upload; no other of these operations reads an object.
_OF_UPLOADS = frozenset({"UploadPart", "ListParts", "CompleteMultipartUpload", "AbortMultipartUpload"})
_ALIASES = {"ExpiredTokenException": "ExpiredToken", "TokenRefreshRequired": "ExpiredToken"}


def to_error(op: str, path: str, status: int, code: str, message: str, *, region: str = "") -> StoreError:
    """The error for an answer that is none of success.

    Args:
        op: The operation's name, e.g. ``PutObject``.
        path: The key or bucket.
        status: The HTTP status; 200 where an error stood inside a successful answer.
        code: The ``Code`` of the error document; empty where there was none (HEAD, a proxy's page).
        message: Its ``Message``; shown as the store wrote it.
        region: The bucket's region, where the answer names it (``Region``, ``x-amz-bucket-region``).
    """
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if kind is None:
        kind = RejectedError if 400 <= status < 500 else ServerFaultError  # noqa: PLR2004  HTTP's own bounds
    if code == "NoSuchKey" and op in _OF_UPLOADS:
        kind = UploadGoneError
    text = f"{code}: {message}" if code and message else code or message or f"HTTP status {status}"
    hint = _HINTS.get(_ALIASES.get(code, code), "")
    if region and (status == 301 or code in _ELSEWHERE):  # noqa: PLR2004  HTTP's "moved permanently"
        hint = f"the bucket is in another region: give --region {region}"
    return kind(text, op=op, path=path, hint=hint, status=status, code=code)
