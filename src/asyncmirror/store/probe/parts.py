"""What a store verifies of multipart uploads.

Owns the requests of one small upload, right and wrong on purpose. A Complete that a store should have refused and did not ends
the upload, so that the next question needs another.
"""

from collections.abc import Collection

from asyncmirror.checksum import compute, to_header
from asyncmirror.model import Algorithm
from asyncmirror.store import guarantees as names
from asyncmirror.store.guarantees import Answer, Verdict
from asyncmirror.store.probe import judge
from asyncmirror.store.probe.scratch import Scratch
from asyncmirror.store.wire.answer import Answer as Said
from asyncmirror.store.wire.request import Request

_NAME = "parts"


class Parts:
    """Looks at multipart uploads. `found` takes what is found out."""

    def __init__(self, scratch: Scratch, algorithm: Algorithm, body: bytes, found: dict[str, Verdict]) -> None:
        self._scratch = scratch
        self._body = body
        self._found = found
        self._algorithm = algorithm
        self._kind = "FULL_OBJECT" if algorithm.full_object else "COMPOSITE"
        self._checksum = to_header(compute(algorithm, body))
        self._etag = ""
        self._upload_id = ""

    async def look(self, wanted: Collection[str]) -> None:
        """Find out what is wanted, of `guarantees`' names, and whether multipart uploads work at all."""
        if not await self._begin():
            return
        if names.LISTS_PARTS in wanted:
            said = await self._scratch.ask(Request("GET", self._scratch.key(_NAME), (("uploadId", self._upload_id),)))
            self._found[names.LISTS_PARTS] = _names(said, b"<PartNumber>1</PartNumber>")
        if names.LISTS_UPLOADS in wanted:
            query = (("prefix", self._scratch.key(_NAME)), ("uploads", ""))
            said = await self._scratch.ask(Request("GET", "", query))
            self._found[names.LISTS_UPLOADS] = _names(said, self._upload_id.encode())
        # First what is right: where that fails, a refusal of what is wrong says nothing.
        if not await self._takes():
            return
        if names.OBJECT_CHECKSUM in wanted and await self._begin() and self._algorithm.full_object:
            wrong = to_header(compute(self._algorithm, self._body + b"!"))
            said = await self._complete({self._algorithm.header: wrong, "x-amz-checksum-type": self._kind})
            self._found[names.OBJECT_CHECKSUM] = judge.refusal(said)
        if names.OBJECT_SIZE in wanted and await self._begin():
            said = await self._complete({"x-amz-mp-object-size": str(len(self._body) + 1)})
            self._found[names.OBJECT_SIZE] = judge.refusal(said)
        if names.CONDITIONAL_COMPLETE in wanted and await self._begin():
            said = await self._complete({"if-none-match": "*"})
            self._found[names.CONDITIONAL_COMPLETE] = judge.precondition(said)

    async def _takes(self) -> bool:
        """Whether an upload as sync makes them becomes an object."""
        whole = {self._algorithm.header: self._checksum} if self._algorithm.full_object else {}
        said = await self._complete({**whole, "x-amz-checksum-type": self._kind, "x-amz-mp-object-size": str(len(self._body))})
        verdict = judge.accepted(said)
        if verdict.answer is Answer.YES:
            verdict = judge.kept(await self._scratch.get(_NAME), self._body)
        self._found[names.TAKES_PARTS] = verdict
        return verdict.answer is Answer.YES

    async def _begin(self) -> bool:
        """Have an upload with one part; whether there is one."""
        if self._upload_id:
            return True
        declared = {"x-amz-checksum-algorithm": self._algorithm.value, "x-amz-checksum-type": self._kind}
        upload_id = await self._scratch.create(_NAME, declared)
        if not upload_id:
            return False
        query = (("partNumber", "1"), ("uploadId", upload_id))
        headers = {self._algorithm.header: self._checksum}
        said = await self._scratch.ask(Request("PUT", self._scratch.key(_NAME), query, headers, self._body))
        if said is None or not judge.is_success(said):
            return False
        self._upload_id, self._etag = upload_id, said.headers.get(b"etag", b"").decode("latin-1")
        return True

    async def _complete(self, headers: dict[str, str]) -> Said | None:
        element = f"Checksum{self._algorithm.value}"
        part = f"<PartNumber>1</PartNumber><ETag>{self._etag}</ETag><{element}>{self._checksum}</{element}>"
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        text = f'<CompleteMultipartUpload xmlns="{space}"><Part>{part}</Part></CompleteMultipartUpload>'
        said = await self._scratch.complete(_NAME, self._upload_id, text.encode(), headers)
        if said is None or judge.is_success(said) or "NoSuchUpload" in judge.shown(said):
            self._upload_id = ""
        return said


def _names(said: Said | None, what: bytes) -> Verdict:
    """Whether a listing names something that is there."""
    verdict = judge.done(said)
    if verdict.answer is Answer.YES and said is not None and what not in said.body:
        return Verdict(Answer.NO, "what is there is not listed")
    return verdict
