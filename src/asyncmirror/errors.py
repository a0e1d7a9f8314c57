"""One tree of errors. A foreign error is translated once, at the adapter that met it, into one of these.

Every error says in one line what was being done (`op`), to what (`path`), what happened, and what to do (`hint`).
`retryable` tells whether the same request may succeed later; `fatal` whether the run can't go on without a person;
`exit_code` is what the command ends with when this error ended it (the table is in docs/exit-codes.md).
"""

import re
from typing import ClassVar

_LOGIN = re.compile(r"//[^/\s]*@")
"""The user and the password in a URL."""


class AsyncmirrorError(Exception):
    """The root of the tree.

    Args:
        message: What happened, in one line.
        op: What was being done, e.g. ``PutObject`` or ``open``.
        path: What it was done to: a key, a file, a URL. Shown escaped by whoever shows it.
        hint: What the reader can do about it.
    """

    retryable: ClassVar[bool] = False
    fatal: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, op: str = "", path: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.op = op
        self.path = path
        self.hint = hint

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.op, self.path) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({self.hint})" if self.hint else text


def first(group: BaseExceptionGroup[AsyncmirrorError]) -> AsyncmirrorError:
    """The first error of a group: the cause, where the others were on their way when it happened."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, AsyncmirrorError)
    return error


def cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a task group ended for: the first of our errors where all are ours; else the group itself, which holds a bug.

    For ``raise cause(group)`` in an ordinary ``except``: what is raised in an ``except*``, Python 3.11.2 (Debian 12) wraps in a
    group of its own, and 3.11.7 does not.
    """
    ours, others = group.split(AsyncmirrorError)
    return group if ours is None or others is not None else first(ours)


class UsageError(AsyncmirrorError):
    """What was asked can't be asked: a malformed destination, a size without a unit, a source that is a file."""

    fatal = True
    exit_code = 2


class SourceError(AsyncmirrorError):
    """The file system refused something."""

    exit_code = 3


class UnreadableError(SourceError):
    """An entry can't be opened, listed or read: EACCES, EIO, ESTALE after a second try, or it vanished."""


class ChangedError(SourceError):
    """A file's identity or length was not the same after reading as before."""

    retryable = True


class SourceGoneError(SourceError):
    """The source as a whole is not there: its mount is gone, or another one is in its place. No entry is to blame."""

    fatal = True
    exit_code = 4


class RefusedError(AsyncmirrorError):
    """An entry could be sent but must not be: its key is too long, or a part exceeds the memory allowed."""

    exit_code = 3


class SecretError(RefusedError):
    """A file looks like a secret, and the bucket is not known to be private. The text names the rule, never the secret."""


class JournalError(AsyncmirrorError):
    """The journal can't be opened or written: locked, of a newer version, damaged, on a full disk."""

    fatal = True
    exit_code = 4


class JournalDiskError(JournalError):
    """The journal's disk is full or failed: nothing is wrong with what is on it, and it may be well again later."""


class OutputError(AsyncmirrorError):
    """A file that was asked for can't be written: no space, no permission, no such directory."""

    fatal = True
    exit_code = 4


class ProcessError(AsyncmirrorError):
    """A process that something depends on has died, or is not there."""

    fatal = True
    exit_code = 4


class StoreError(AsyncmirrorError):
    """The store did not do what was asked. `status` is the HTTP status (0: none), `code` S3's error code ("": none)."""

    def __init__(self, message: str, *, op: str = "", path: str = "", hint: str = "", status: int = 0, code: str = "") -> None:
        # What a library says may quote a proxy's URL, and the journal keeps it.
        super().__init__(_LOGIN.sub("//[hidden]@", message), op=op, path=path, hint=hint)
        self.status = status
        self.code = code


class ThrottledError(StoreError):
    """SlowDown, any 503, 429: the store wants fewer requests. It gets fewer, and no file is charged an attempt."""

    retryable = True


class ServerFaultError(StoreError):
    """A 5xx, a truncated or unintelligible answer, or 200 with an error inside."""

    retryable = True


class CorruptedError(StoreError):
    """The store received other bytes than were sent (BadDigest, XAmzContentChecksumMismatch, …), or stored others."""

    retryable = True


class ConnectionFaultError(StoreError):
    """The connection broke, or a deadline passed."""

    retryable = True


class UnreachableError(ConnectionFaultError):
    """No connection could be made at all: the name does not resolve, nothing listens, the certificate is not trusted.

    Retried like any connection fault; when the retries are spent it ends the run, because no file is to blame.
    """

    fatal = True
    exit_code = 4


class UntrustedError(StoreError):
    """TLS verification failed. Never retried: a certificate does not heal."""

    fatal = True
    exit_code = 4


class CredentialsError(StoreError):
    """No credentials, wrong ones, or expired ones. Ends the run; no file is charged an attempt."""

    fatal = True
    exit_code = 4


class BucketError(StoreError):
    """The bucket does not exist, or stands in another region, or the clock is too far off: no request can succeed."""

    fatal = True
    exit_code = 4


class UploadGoneError(StoreError):
    """NoSuchUpload: completed already, aborted by somebody, or by a lifecycle rule."""


class AccessDeniedError(StoreError):
    """403 on one key, with credentials that are otherwise accepted."""


class RejectedError(StoreError):
    """Any other 4xx: the request itself is wrong for this store."""


class PreconditionError(StoreError):
    """412 or 409 to a conditional write."""
