"""The decision table of asyncmirror.plan.decide, row by row."""

import pytest

from asyncmirror.model import (
    Algorithm,
    Checksum,
    Completed,
    Identity,
    Outcome,
    Problem,
    Receipt,
    Record,
    RemoteObject,
    RemotePart,
    Upload,
    Uploading,
)
from asyncmirror.plan.decide import Action, Seen, decide, is_ours, reconcile

NOW = Identity(dev=1, ino=10, size=100, mtime_ns=5, ctime_ns=6)
CRC = Checksum(Algorithm.CRC64NVME, b"12345678")
COMPLETE = Record(Completed(NOW, CRC, "etag", 0))
UPLOADING = Record(uploading=Uploading(NOW, Upload("id", "nonce", 50, Algorithm.CRC64NVME)))
BOTH = Record(COMPLETE.completed, UPLOADING.uploading)


def failed(*, retryable: bool, outcome: Outcome = Outcome.FAILED, identity: Identity | None = NOW) -> Record:
    return Record(problem=Problem(identity, outcome, "why", retryable))


@pytest.mark.parametrize(
    ("record", "identity", "options", "action"),
    [
        (Record(), NOW, {}, Action.UPLOAD),
        (Record(), NOW, {"seen": Seen.EQUAL}, Action.ADOPT),
        (Record(), NOW, {"seen": Seen.DIFFERENT}, Action.UPLOAD),
        (COMPLETE, NOW, {}, Action.SKIP),
        (COMPLETE, NOW, {"seen": Seen.EQUAL}, Action.SKIP),
        (COMPLETE, NOW._replace(dev=2), {}, Action.SKIP),
        (COMPLETE, NOW, {"seen": Seen.DIFFERENT}, Action.UPLOAD),
        (COMPLETE, NOW._replace(ctime_ns=7), {}, Action.RECHECK),
        (COMPLETE, NOW._replace(mtime_ns=7), {}, Action.RECHECK),
        (COMPLETE, NOW._replace(ino=7), {}, Action.RECHECK),
        (COMPLETE, NOW._replace(ctime_ns=7, ino=7), {"trust_mtime": True}, Action.RENEW),
        (COMPLETE, NOW._replace(mtime_ns=7), {"trust_mtime": True}, Action.RECHECK),
        (COMPLETE, NOW._replace(size=7), {}, Action.UPLOAD),
        (COMPLETE, NOW._replace(size=7), {"trust_mtime": True}, Action.UPLOAD),
        (UPLOADING, NOW, {}, Action.RESUME),
        (UPLOADING, NOW._replace(dev=2), {}, Action.RESUME),
        (UPLOADING, NOW._replace(mtime_ns=7), {}, Action.RESTART),
        (UPLOADING, NOW._replace(size=7), {"trust_mtime": True}, Action.RESTART),
        (BOTH, NOW, {}, Action.RESUME),
        (BOTH, NOW._replace(ctime_ns=9), {}, Action.RESTART),
        (failed(retryable=False), NOW, {}, Action.KEEP),
        (failed(retryable=False), NOW, {"retry_failed": True}, Action.UPLOAD),
        (failed(retryable=False), NOW._replace(mtime_ns=7), {}, Action.UPLOAD),
        (failed(retryable=False, identity=None), NOW, {}, Action.UPLOAD),
        (failed(retryable=True), NOW, {}, Action.UPLOAD),
        (failed(retryable=False, outcome=Outcome.UNREADABLE), NOW, {}, Action.UPLOAD),
        (failed(retryable=True)._replace(uploading=UPLOADING.uploading), NOW, {}, Action.RESUME),
        (failed(retryable=True)._replace(completed=COMPLETE.completed), NOW, {}, Action.SKIP),
    ],
)
def test_the_decision(record: Record, identity: Identity, options: dict[str, bool], action: Action) -> None:
    assert decide(identity, record, **options) is action  # type: ignore[arg-type]  # a row of keyword arguments


def receipt(number: int, etag: str = "e", size: int = 50) -> Receipt:
    return Receipt(number, size, etag, CRC)


def test_a_resumed_upload_keeps_the_parts_that_the_store_bears_out() -> None:
    upload = Upload("id", "nonce", 50, Algorithm.CRC64NVME, (receipt(1), receipt(2), receipt(3), receipt(4)))
    listed = [RemotePart(1, 50, "e"), RemotePart(2, 50, "other"), RemotePart(3, 49, "e"), RemotePart(9, 50, "e")]
    assert reconcile(upload, listed) == (receipt(1),)


@pytest.mark.parametrize(
    ("remote", "ours"),
    [
        (None, False),
        (RemoteObject("k", 100, "e", metadata={"asyncmirror-nonce": "nonce"}), True),
        (RemoteObject("k", 99, "e", metadata={"asyncmirror-nonce": "nonce"}), False),
        (RemoteObject("k", 100, "e", metadata={"asyncmirror-nonce": "another"}), False),
        (RemoteObject("k", 100, "e"), False),
    ],
)
def test_an_object_is_ours_by_nonce_and_size(remote: RemoteObject | None, ours: bool) -> None:  # noqa: FBT001  a column
    assert is_ours(remote, "nonce", 100) is ours
    assert not is_ours(remote, "", 100)
