"""What the SDK's exceptions mean: botocore's and aiohttp's to one of ours, in this one place.

Owns the translation and its hints. Knows no operation. Importing it imports botocore: only adapters that run on it do.
"""

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    CredentialRetrievalError,
    InvalidConfigError,
    InvalidRegionError,
    MetadataRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
    UnknownCredentialError,
)
from botocore.parsers import ResponseParserError

from asyncmirror.errors import BucketError, ConnectionFaultError, CredentialsError, RejectedError, ServerFaultError, StoreError
from asyncmirror.store import answers
from asyncmirror.store.sdk_http import connection_error

# What the SDK's parsers and our readers raise on an answer that is not S3's: a number or a date that is none,
# an element that is missing, doubled or nested where it must not be, an encoding that nobody knows, a depth without end.
_UNREADABLE = (ResponseParserError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
FOREIGN: tuple[type[Exception], ...] = (
    BotoCoreError,
    ClientError,
    aiohttp.ClientError,
    OSError,
    StoreError,
    *_UNREADABLE,
)
"""All that an SDK call raises; whatever else it raises is a defect."""

NO_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, give --profile, or --no-sign-request for a public bucket"
_CREDENTIALS_HINTS: dict[type[BotoCoreError], str] = {
    NoCredentialsError: NO_CREDENTIALS,
    PartialCredentialsError: "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither",
    ProfileNotFound: "check --profile, AWS_PROFILE and the AWS config files",
    ConfigParseError: "repair the AWS config file",
    ConfigNotFound: "check AWS_CONFIG_FILE",
    SSOError: "sign in again with: aws sso login",
    NoAuthTokenError: "sign in again with: aws sso login",
    TokenRetrievalError: "sign in again with: aws sso login",
    RefreshWithMFAUnsupportedError: "get temporary credentials with: aws sts get-session-token",
    CredentialRetrievalError: "check what the profile names as its source of credentials",
    MetadataRetrievalError: "the instance's metadata service gives no credentials: check its role",
    UnknownCredentialError: "check the profile's credential_source",
    InvalidConfigError: "check the profile in the AWS config file",
}


def translate(error: Exception, op: str, path: str) -> StoreError:  # noqa: PLR0911  one return per kind of error
    """Our error for one that a call to the SDK raised.

    Args:
        error: One of `FOREIGN`.
        op: The operation, e.g. ``PutObject``.
        path: The key or bucket it was for.
    """
    if isinstance(error, StoreError):  # from `sdk_http` or `sdk_values`, which know neither operation nor key
        error.op, error.path = error.op or op, error.path or path
        return error
    if isinstance(error, KeyError):
        return ServerFaultError(f"the answer lacks {error}", op=op, path=path)
    if isinstance(error, ClientError):
        return _from_answer(error, op, path)
    if isinstance(error, InvalidRegionError):
        return BucketError(str(error), op=op, path=path, hint="check --region and AWS_REGION, e.g. us-west-2")
    for kind, hint in _CREDENTIALS_HINTS.items():
        if isinstance(error, kind):
            return CredentialsError(str(error), op=op, path=path, hint=hint)
    if isinstance(error, UnicodeEncodeError):
        return RejectedError("the key is not valid Unicode", op=op, path=path)
    if isinstance(error, _UNREADABLE):
        text = (str(error) or type(error).__name__).partition("\n")[0][:200]
        return ServerFaultError(f"the answer can't be read: {text}", op=op, path=path)
    if isinstance(error, aiohttp.ClientError | OSError):
        fault = connection_error(error)
        fault.op, fault.path = op, path
        return fault
    return ConnectionFaultError(str(error) or type(error).__name__, op=op, path=path)


def misconfigured(error: Exception, path: str) -> StoreError:
    """Our error for one that the SDK raised while it read its configuration: nothing can be sent until somebody repairs it.

    Args:
        error: One of `FOREIGN`.
        path: The bucket that a client was made for.
    """
    known = translate(error, "configure", path)
    if known.fatal:
        return known
    text = (str(error) or type(error).__name__).partition("\n")[0][:200]
    return CredentialsError(
        f"the AWS configuration can't be used: {text}", op="configure", path=path, hint="check the AWS config files and AWS_*"
    )


def _from_answer(error: ClientError, op: str, path: str) -> StoreError:
    said = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders", {})
    code = str(said.get("Code", ""))
    if code.isdecimal():  # botocore puts the status where the answer had no document
        code = ""
    return answers.to_error(
        op,
        path,
        int(metadata.get("HTTPStatusCode", 0)),
        code,
        str(said.get("Message") or ""),
        region=str(said.get("Region", "") or headers.get("x-amz-bucket-region", "")),
    )
