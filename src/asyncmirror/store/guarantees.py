"""What a store verifies and keeps, as far as it is known; and what follows from it for a sync.

Owns the table of guarantees, its words, and the form in which the journal keeps what was found. Pure: how it is found out is
`probe`'s. Knows no request.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from asyncmirror.model import Algorithm

WRITES = "writes"
KEEPS_BYTES = "keeps-bytes"
SIGNED_PAYLOAD = "signed-payload"
CONTENT_MD5 = "content-md5"
CONDITIONAL_PUT = "conditional-put"
CONDITIONAL_COMPLETE = "conditional-complete"
TAKES_PARTS = "takes-parts"
LISTS_UPLOADS = "lists-uploads"
LISTS_PARTS = "lists-parts"
OBJECT_CHECKSUM = "object-checksum"
OBJECT_SIZE = "object-size"
DECODES_FRAMES = "decodes-frames"


def verifies(algorithm: Algorithm) -> str:
    """The name of: a body whose checksum of this kind is wrong is refused."""
    return "verifies-" + algorithm.value.lower()


def tells(algorithm: Algorithm) -> str:
    """The name of: a checksum of this kind is kept, and told again."""
    return "tells-" + algorithm.value.lower()


class Answer(Enum):
    """Whether a store gives a guarantee."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """The answer, and what it rests on: what the store said."""

    answer: Answer
    why: str = ""


class Guarantee(NamedTuple):
    """What is asked of a store: in words when it gives it, and what follows when it does not."""

    given: str
    missing: str


TABLE: Mapping[str, Guarantee] = MappingProxyType(
    {
        WRITES: Guarantee("objects can be written", "objects can't be written"),
        KEEPS_BYTES: Guarantee(
            "bytes come back as they were sent", "other bytes come back than were sent: sync refuses this store"
        ),
        SIGNED_PAYLOAD: Guarantee(
            "a body that is not what was signed is refused",
            "the signed SHA-256 of a body is not verified: only x-amz-checksum-* guards it on its way",
        ),
        **{
            verifies(algorithm): Guarantee(
                f"a body with a wrong {algorithm.value} is refused",
                f"x-amz-checksum-{algorithm.value.lower()} is not verified: only the signed SHA-256 guards a body on its way",
            )
            for algorithm in Algorithm
        },
        **{
            tells(algorithm): Guarantee(
                f"the {algorithm.value} of an object is kept and told again",
                f"no {algorithm.value} is kept: whoever audits the bucket must read the objects",
            )
            for algorithm in Algorithm
        },
        CONTENT_MD5: Guarantee(
            "a body with a wrong Content-MD5 is refused", "Content-MD5 is not verified (asyncmirror does not send it)"
        ),
        CONDITIONAL_PUT: Guarantee(
            "PutObject can be told not to overwrite", "If-None-Match is ignored by PutObject: nothing keeps it from overwriting"
        ),
        CONDITIONAL_COMPLETE: Guarantee(
            "CompleteMultipartUpload can be told not to overwrite",
            "If-None-Match is ignored by CompleteMultipartUpload: nothing keeps it from overwriting",
        ),
        TAKES_PARTS: Guarantee("multipart uploads work", "multipart uploads do not work: large files can't be mirrored"),
        LISTS_UPLOADS: Guarantee(
            "unfinished uploads are listed",
            "unfinished uploads are not listed: one that a kill leaves behind can't be found, only a lifecycle rule removes it",
        ),
        LISTS_PARTS: Guarantee("parts of an upload are listed", "parts are not listed: an upload can't be gone on with"),
        OBJECT_CHECKSUM: Guarantee(
            "an object of parts is refused if its checksum is wrong",
            "the checksum of an object of parts is not verified: its parts are, one by one",
        ),
        OBJECT_SIZE: Guarantee(
            "an object of parts is refused if its size is wrong",
            "the size of an object of parts is not verified: its parts' are, one by one",
        ),
        DECODES_FRAMES: Guarantee(
            "aws-chunked framing is taken off or refused",
            "aws-chunked framing is stored as data: asyncmirror sends none, but other programs (boto3 1.36 and later) do",
        ),
    }
)
"""Everything that is asked of a store, in the order in which it is told."""

_UNKNOWN = Verdict(Answer.UNKNOWN)
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
"""Ends of Amazon S3's host names; it documents that it gives all of these ("Checking object integrity in Amazon S3")."""


def is_amazon(url: str) -> bool:
    """Whether an endpoint is Amazon's own."""
    return (urlsplit(url).hostname or "").endswith(_AMAZON)


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What is known of one store. `at` is when it was found out, in seconds since the epoch."""

    verdicts: Mapping[str, Verdict] = field(default_factory=lambda: MappingProxyType({}))
    at: float = 0.0

    @classmethod
    def documented(cls) -> Self:
        """All of them: Amazon S3, by its documentation."""
        return cls({name: Verdict(Answer.YES, "documented") for name in TABLE})

    def of(self, name: str) -> Verdict:
        """The verdict on one."""
        return self.verdicts.get(name, _UNKNOWN)

    def lacks(self, name: str) -> bool:
        """Whether the store is known not to give it."""
        return self.of(name).answer is Answer.NO

    def gives(self, name: str) -> bool:
        """Whether the store is known to give it."""
        return self.of(name).answer is Answer.YES

    def to_text(self) -> str:
        """The form that the journal keeps."""
        found = {name: [verdict.answer.value, verdict.why] for name, verdict in self.verdicts.items()}
        return json.dumps({"at": self.at, "verdicts": found})

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """Read what `to_text` wrote; None where it is something else."""
        try:
            told = json.loads(text)
            found = {str(name): Verdict(Answer(answer), str(why)) for name, (answer, why) in told["verdicts"].items()}
            return cls(found, float(told["at"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def unguarded(guarantees: Guarantees, algorithm: Algorithm, *, signed: bool = True) -> bool:
    """Whether the store is known to verify nothing of a body: neither its hash, if `signed` at all, nor its checksum."""
    return guarantees.lacks(verifies(algorithm)) and (guarantees.lacks(SIGNED_PAYLOAD) or not signed)


def shortfalls(guarantees: Guarantees, algorithm: Algorithm, *, signed: bool = True) -> list[str]:
    """What a sync with this checksum algorithm must do without, a sentence each; `signed`: bodies are signed too."""
    if unguarded(guarantees, algorithm, signed=signed):
        found = ["nothing of what it receives is verified: a byte that changes on the way there is not noticed"]
    else:
        guards = (SIGNED_PAYLOAD, verifies(algorithm)) if signed else (verifies(algorithm),)
        found = [TABLE[name].missing for name in guards if guarantees.lacks(name)]
    others = (tells(algorithm), TAKES_PARTS, LISTS_PARTS, LISTS_UPLOADS, OBJECT_CHECKSUM, OBJECT_SIZE)
    return found + [TABLE[name].missing for name in others if guarantees.lacks(name)]
