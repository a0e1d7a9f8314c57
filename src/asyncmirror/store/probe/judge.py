"""What a store's answer to a probe means. Pure.

Owns the reading of answers to requests that were right, and to the same ones wrong on purpose. A refusal counts only where it
is one of the request itself: a store that is busy, broken or forbids writing at all has said nothing of what it verifies.
"""

from asyncmirror.checksum import to_header
from asyncmirror.errors import AccessDeniedError, CorruptedError, CredentialsError
from asyncmirror.model import Algorithm, Checksum
from asyncmirror.store.answers import to_error
from asyncmirror.store.guarantees import Answer, Verdict
from asyncmirror.store.wire.answer import Answer as Said
from asyncmirror.store.wire.document import parse

_FORBIDDEN = 403
_NOT_FOUND = 404
_PRECONDITION_FAILED = 412
_NOT_IMPLEMENTED = (405, 501)


def is_success(said: Said | None) -> bool:
    """Whether the store did as it was asked: a status of success and no error inside."""
    if said is None or not said.success:
        return False
    document = parse(said.body) if said.body.lstrip()[:1] == b"<" else None
    return document is None or document.root != "Error"


def is_gone(said: Said) -> bool:
    """Whether what was to be removed is not there any more."""
    return is_success(said) or (said.status == _NOT_FOUND and "NoSuchBucket" not in shown(said))


def shown(said: Said) -> str:
    """An answer in short: ``400 BadDigest``."""
    document = parse(said.body) if said.body else None
    code = document.texts.get("Code", "") if document is not None and document.root == "Error" else ""
    return f"{said.status} {code}".strip()


def refusal(said: Said | None) -> Verdict:
    """Whether a request that was wrong on purpose was refused for it. None: there was no answer."""
    if said is None:
        return Verdict(Answer.UNKNOWN, "no answer")
    if is_success(said):
        return Verdict(Answer.NO, f"a wrong one was taken: {shown(said)}")
    document = parse(said.body) if said.body else None
    code = "" if document is None else document.texts.get("Code", "")
    error = to_error("", "", said.status, code, "")
    # A wrong hash may also be told as a wrong signature, which is over the hash.
    wrong = isinstance(error, CorruptedError) or (isinstance(error, CredentialsError) and code == "SignatureDoesNotMatch")
    if not wrong and (error.retryable or error.fatal or isinstance(error, AccessDeniedError)):
        return Verdict(Answer.UNKNOWN, shown(said))
    return Verdict(Answer.YES, f"a wrong one was refused: {shown(said)}")


def is_not_implemented(said: Said) -> bool:
    """Whether the store said that it has no such thing."""
    return said.status in _NOT_IMPLEMENTED or "NotImplemented" in shown(said)


def precondition(said: Said | None) -> Verdict:
    """Whether a write that must not overwrite was held back."""
    if said is None:
        return Verdict(Answer.UNKNOWN, "no answer")
    if said.status == _PRECONDITION_FAILED or "PreconditionFailed" in shown(said):
        return Verdict(Answer.YES, f"refused: {shown(said)}")
    if is_success(said):
        return Verdict(Answer.NO, f"overwritten: {shown(said)}")
    if is_not_implemented(said):
        return Verdict(Answer.NO, shown(said))
    return Verdict(Answer.UNKNOWN, shown(said))


def done(said: Said | None) -> Verdict:
    """Whether the store did as it was asked."""
    if said is None:
        return Verdict(Answer.UNKNOWN, "no answer")
    if is_success(said):
        return Verdict(Answer.YES, shown(said))
    if is_not_implemented(said):
        return Verdict(Answer.NO, shown(said))
    return Verdict(Answer.UNKNOWN, shown(said))


def accepted(said: Said | None) -> Verdict:
    """Whether a request that was right in everything was carried out; refused for itself, it is one the store can't do."""
    if said is not None and refusal(said).answer is Answer.YES:
        return Verdict(Answer.NO, f"a right one was refused: {shown(said)}")
    return done(said)


def permitted(said: Said | None) -> Verdict:
    """Whether the store did as it was asked, and if not, whether it is that it may not be asked."""
    if said is not None and said.status == _FORBIDDEN:
        return Verdict(Answer.NO, shown(said))
    return done(said)


def kept(said: Said | None, sent: bytes) -> Verdict:
    """Whether an object came back as it was sent."""
    if said is None:
        return Verdict(Answer.UNKNOWN, "no answer")
    if not said.success:
        return Verdict(Answer.UNKNOWN, f"it could not be read again: {shown(said)}")
    if said.body == sent:
        return Verdict(Answer.YES, f"{len(sent)} bytes read again and compared")
    return Verdict(Answer.NO, f"{len(sent)} bytes sent, {len(said.body)} came back: {said.body[:60]!r}")


def told(said: Said | None, checksum: Checksum) -> Verdict:
    """Whether the checksum that an object was sent with is told when it is read."""
    if said is None or not said.success:
        return Verdict(Answer.UNKNOWN, "no answer" if said is None else shown(said))
    value = said.headers.get(checksum.algorithm.header.encode())
    if value is None:
        return Verdict(Answer.NO, "it is not told when the object is read")
    same = value == to_header(checksum).encode()
    return Verdict(Answer.YES if same else Answer.NO, "told when the object is read" if same else "another one is told")


def framed(body: bytes, algorithm: Algorithm, value: str) -> bytes:
    """A body in aws-chunked framing: one chunk, and its checksum behind it (AWS, "Transferring payload in multiple chunks")."""
    trailer = f"{algorithm.header}:{value}\r\n\r\n".encode()
    return f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n" + trailer
