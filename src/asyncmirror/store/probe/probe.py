"""One probe of one bucket: which questions are asked, at once, and within which time.

Owns the two lists of questions, the few that a sync needs and the whole that `doctor` asks, and the requests on single objects.
What an answer means is `judge`'s, that nothing stays is `scratch`'s. Knows no journal and no retry: what fails is not known.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from asyncmirror.checksum import compute, to_header
from asyncmirror.model import Algorithm
from asyncmirror.settings import ObjectOptions
from asyncmirror.store import guarantees as names
from asyncmirror.store.guarantees import Answer, Guarantees, Verdict
from asyncmirror.store.probe import judge
from asyncmirror.store.probe.parts import Parts
from asyncmirror.store.probe.scratch import Asking, Scratch
from asyncmirror.store.wire.request import Request

_OTHER = b"another body"
_NO_HASH = "requests are not signed"


class Probed(NamedTuple):
    """What came of a probe.

    `left` are keys that could not be removed; `unable` says why nothing was written, or not all found out, if so.
    `interrupted`: a request was not answered, so that asking again may tell more.
    """

    guarantees: Guarantees
    left: tuple[str, ...]
    unable: str
    interrupted: bool


class Probe:
    """One probe.

    Args:
        wire: Whom to ask.
        prefix: The destination's, without slashes at its ends.
        nonce: Distinguishes this probe's objects.
        objects: What is asked of the store for every object.
        signed: Whether requests are signed.
        seconds: How long it may take, not counting the removal of what it made.
    """

    def __init__(
        self, wire: Asking, prefix: str, nonce: str, objects: ObjectOptions, *, signed: bool = True, seconds: float = 10.0
    ) -> None:
        self._scratch = Scratch(wire, prefix, nonce, objects)
        self._signed = signed
        self._seconds = seconds
        self._body = b"asyncmirror looks what this store verifies: " + nonce.encode()
        self._found: dict[str, Verdict] = {}
        self._unable = ""

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._scratch.requests

    async def brief(self, algorithm: Algorithm, *, conditional: bool = False) -> Probed:
        """What a sync must know: seven requests. `conditional`: also whether the store can be told not to overwrite."""
        looks: list[Callable[[], Awaitable[None]]] = [
            partial(self._checksum, algorithm),
            self._payload,
            self._uploads,
        ]
        if conditional:
            looks += [self._conditional, partial(self._parts, algorithm, (names.CONDITIONAL_COMPLETE,))]
        return await self._run(looks)

    async def whole(self, algorithm: Algorithm) -> Probed:
        """Everything in `guarantees.TABLE`, some forty requests. `algorithm`: the one that multipart uploads are tried with."""
        parts = (names.LISTS_PARTS, names.LISTS_UPLOADS, names.OBJECT_CHECKSUM, names.OBJECT_SIZE, names.CONDITIONAL_COMPLETE)
        looks = [partial(self._checksum, each) for each in Algorithm]
        return await self._run(
            [*looks, self._payload, self._content_md5, self._conditional, self._framing, partial(self._parts, algorithm, parts)]
        )

    async def _run(self, looks: Sequence[Callable[[], Awaitable[None]]]) -> Probed:
        scratch = self._scratch
        try:
            async with asyncio.timeout(self._seconds):
                self._unable = await scratch.check()
                if not self._unable:
                    async with asyncio.TaskGroup() as group:
                        for look in looks:
                            group.create_task(_carry_out(look))
        except TimeoutError:
            scratch.fault = scratch.fault or "too late"
            self._unable = f"the store did not answer all within {self._seconds:g} s"
        finally:
            await scratch.clear()  # also where the run was stopped meanwhile
        return Probed(Guarantees(dict(self._found), time.time()), scratch.left, self._unable, bool(scratch.fault))

    async def _checksum(self, algorithm: Algorithm) -> None:
        """Store an object with a checksum, read it again, and try a wrong one."""
        name, right = algorithm.value.lower(), compute(algorithm, self._body)
        stored = await self._scratch.put(name, self._body, {algorithm.header: to_header(right)})
        written = judge.permitted(stored)
        if self._known(names.WRITES) is not Answer.YES:
            self._found[names.WRITES] = written
        if written.answer is not Answer.YES:
            self._found[names.verifies(algorithm)] = judge.done(stored)
            return
        read = await self._scratch.get(name)
        kept = judge.kept(read, self._body)
        if kept.answer is not Answer.UNKNOWN and self._known(names.KEEPS_BYTES) is not Answer.NO:
            self._found[names.KEEPS_BYTES] = kept
        self._found[names.tells(algorithm)] = judge.told(read, right)
        wrong = to_header(compute(algorithm, _OTHER))
        said = await self._scratch.put(f"wrong-{name}", self._body, {algorithm.header: wrong})
        self._found[names.verifies(algorithm)] = judge.refusal(said)

    async def _payload(self) -> None:
        """Send a body with another one's hash."""
        if not self._signed:
            self._found[names.SIGNED_PAYLOAD] = Verdict(Answer.UNKNOWN, _NO_HASH)
            return
        said = await self._scratch.put("wrong-payload", self._body, payload=hashlib.sha256(_OTHER).hexdigest())
        self._found[names.SIGNED_PAYLOAD] = judge.refusal(said)

    async def _content_md5(self) -> None:
        """Send a body with another one's MD5."""
        wrong = base64.b64encode(hashlib.md5(_OTHER, usedforsecurity=False).digest()).decode()
        said = await self._scratch.put("wrong-md5", self._body, {"content-md5": wrong})
        self._found[names.CONTENT_MD5] = judge.refusal(said)

    async def _conditional(self) -> None:
        """Write over an object on condition that there is none."""
        if not judge.is_success(await self._scratch.put("conditional", self._body)):
            return
        said = await self._scratch.put("conditional", _OTHER, {"if-none-match": "*"})
        self._found[names.CONDITIONAL_PUT] = judge.precondition(said)

    async def _framing(self) -> None:
        """Send a body in aws-chunked framing, as other programs do, and look what is stored."""
        algorithm = Algorithm.CRC32
        headers = {
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": str(len(self._body)),
            "x-amz-trailer": algorithm.header,
        }
        framed = judge.framed(self._body, algorithm, to_header(compute(algorithm, self._body)))
        stored = await self._scratch.put("framed", framed, headers, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        if stored is not None and not judge.is_success(stored):
            refused = judge.refusal(stored)
            self._found[names.DECODES_FRAMES] = Verdict(Answer.YES, f"refused: {judge.shown(stored)}")
            if refused.answer is Answer.UNKNOWN and not judge.is_not_implemented(stored):
                self._found[names.DECODES_FRAMES] = refused
        elif stored is not None:
            self._found[names.DECODES_FRAMES] = judge.kept(await self._scratch.get("framed"), self._body)

    async def _uploads(self) -> None:
        """List unfinished uploads."""
        query = (("max-uploads", "1"), ("prefix", self._scratch.key("")), ("uploads", ""))
        self._found[names.LISTS_UPLOADS] = judge.done(await self._scratch.ask(Request("GET", "", query)))

    async def _parts(self, algorithm: Algorithm, wanted: Sequence[str]) -> None:
        await Parts(self._scratch, algorithm, self._body, self._found).look(wanted)

    def _known(self, name: str) -> Answer:
        found = self._found.get(name)
        return Answer.UNKNOWN if found is None else found.answer


async def _carry_out(look: Callable[[], Awaitable[None]]) -> None:
    await look()
