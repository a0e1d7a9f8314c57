"""What is done with a file, given what the journal says of it: one table, and the only place that decides.

| journal says                       | identity                   | seen in the store          | decision                      |
| ---------------------------------- | -------------------------- | -------------------------- | ----------------------------- |
| nothing                            | –                          | –                          | UPLOAD                        |
| nothing                            | –                          | equal by checksum or ETag  | ADOPT                         |
| complete                           | same                       | – or matching              | SKIP                          |
| complete                           | same                       | missing or different       | UPLOAD                        |
| complete                           | only inode or ctime differ | –, ``--trust-mtime``       | RENEW                         |
| complete                           | size equal, else different | –                          | RECHECK                       |
| complete                           | size different             | –                          | UPLOAD                        |
| uploading                          | same                       | –                          | RESUME, see `reconcile`       |
| uploading                          | different                  | –                          | RESTART                       |
| failed, cause permanent            | same                       | –                          | KEEP                          |
| failed, ``--retry-failed``         | same                       | –                          | as if it had not failed       |
| failed, cause retryable            | same                       | –                          | as if it had not failed       |
| failed                             | different                  | –                          | as if it had not failed       |

and, when an upload is resumed,

| ListParts says                     | HEAD says                  | decision                                                   |
| ---------------------------------- | -------------------------- | ---------------------------------------------------------- |
| some of the parts with receipts    | –                          | RESUME with those parts                                    |
| NoSuchUpload                       | our nonce and size         | it had succeeded (`is_ours`): journal it                   |
| NoSuchUpload                       | anything else              | UPLOAD                                                     |

The same rows stand in tests/plan/test_decide.py. Pure: knows no journal and no store, only what they said.
"""

from collections.abc import Iterable
from enum import Enum

from asyncmirror.model import Identity, Outcome, Receipt, Record, RemoteObject, RemotePart, Upload
from asyncmirror.plan.properties import NONCE


class Action(Enum):
    """What is to be done."""

    SKIP = "skip"  # nothing: it is complete
    RENEW = "renew"  # nothing but to journal the new identity
    RECHECK = "recheck"  # read it; renew where the checksum is the journalled one, else upload
    UPLOAD = "upload"
    ADOPT = "adopt"  # journal the object that is there
    RESUME = "resume"  # go on with the upload in progress
    RESTART = "restart"  # abort the upload in progress, then upload
    KEEP = "keep"  # leave it failed


class Seen(Enum):
    """What was seen in the store, where somebody looked."""

    NOT_LOOKED = "not looked"
    EQUAL = "equal"
    DIFFERENT = "missing or different"


def decide(  # noqa: PLR0911  a table has as many ends as rows
    identity: Identity,
    record: Record,
    *,
    seen: Seen = Seen.NOT_LOOKED,
    trust_mtime: bool = False,
    retry_failed: bool = False,
) -> Action:
    """What to do with a file whose identity is now `identity`."""
    completed, uploading, problem = record
    if (
        problem is not None
        and problem.outcome is Outcome.FAILED
        and not (retry_failed or problem.retryable)
        and problem.identity is not None
        and problem.identity.same_file(identity)
    ):
        return Action.KEEP
    if uploading is not None:
        return Action.RESUME if uploading.identity.same_file(identity) else Action.RESTART
    if completed is None:
        return Action.ADOPT if seen is Seen.EQUAL else Action.UPLOAD
    before = completed.identity
    if before.same_file(identity):
        return Action.UPLOAD if seen is Seen.DIFFERENT else Action.SKIP
    if before.size != identity.size:
        return Action.UPLOAD
    if trust_mtime and before.mtime_ns == identity.mtime_ns:
        return Action.RENEW
    return Action.RECHECK


def reconcile(upload: Upload, parts: Iterable[RemotePart]) -> tuple[Receipt, ...]:
    """The receipts that the store's own list of parts bears out; the others' parts are sent again."""
    there = {(part.number, part.size, part.etag) for part in parts}
    return tuple(receipt for receipt in upload.receipts if (receipt.number, receipt.size, receipt.etag) in there)


def is_ours(remote: RemoteObject | None, nonce: str, size: int) -> bool:
    """Whether the object is the one that this upload made: its nonce and its size (bytes) are."""
    return remote is not None and remote.size == size and bool(nonce) and remote.metadata.get(NONCE) == nonce
