"""The bucket: whether it answers and may be listed and written, and what its store verifies.

Owns the listing that tells of reach and clock, and the words for what a probe found. Knows the probe as one call.
"""

import secrets
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from asyncmirror.doctor.finding import Finding, Level, ok, problem, warning
from asyncmirror.doctor.question import Question
from asyncmirror.errors import StoreError
from asyncmirror.model import Algorithm, Visibility
from asyncmirror.settings import Destination
from asyncmirror.store import guarantees as names
from asyncmirror.store.answers import to_error
from asyncmirror.store.guarantees import TABLE, Answer, Guarantees
from asyncmirror.store.port import Store
from asyncmirror.store.probe.judge import is_success, shown
from asyncmirror.store.probe.probe import Probe, Probed
from asyncmirror.store.session import Endpoint
from asyncmirror.store.wire.answer import Answer as Said
from asyncmirror.store.wire.document import parse
from asyncmirror.store.wire.plane import Wire
from asyncmirror.store.wire.request import Request

_OFF = 60.0
_TOO_FAR = 900.0
"""Seconds by which S3 lets a clock be off."""
_FORBIDDEN = 403
_PARTS = (names.LISTS_UPLOADS, names.OBJECT_CHECKSUM, names.OBJECT_SIZE)


async def reach(wire: Wire, destination: Destination) -> list[Finding]:
    """Whether the bucket answers, and the clock that its answer tells.

    Raises:
        StoreError: Nothing answers.
    """
    query = (("list-type", "2"), ("max-keys", "1"), ("prefix", destination.prefix))
    before = time.time()
    said = await wire.ask(Request("GET", "", query))
    after = time.time()
    return [*_clock(said, (before + after) / 2), _listing(said, destination, after - before)]


def _clock(said: Said, now: float) -> list[Finding]:
    try:
        ahead = parsedate_to_datetime(said.headers.get(b"date", b"").decode("ascii", "replace")).timestamp() - now
    except ValueError:
        return [warning("clock", "the store does not tell its time")]
    # The header has whole seconds, cut off.
    told = "as the store's" if abs(ahead) < 2 else f"{abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the store's"  # noqa: PLR2004
    if abs(ahead) >= _TOO_FAR:
        return [problem("clock", told, "set this machine's clock: S3 refuses what is off by 15 minutes")]
    return [warning("clock", told, "set this machine's clock") if abs(ahead) >= _OFF else ok("clock", told)]


def _listing(said: Said, destination: Destination, seconds: float) -> Finding:
    document = parse(said.body) if said.body else None
    if is_success(said) and document is not None and document.root == "ListBucketResult":
        return ok("bucket", f"{destination} answers in {seconds * 1e3:.0f} ms and may be listed")
    if is_success(said):
        return problem("bucket", "what answers there is no S3 store", "check --endpoint-url", blind=True)
    texts = {} if document is None else document.texts
    error = to_error("", "", said.status, texts.get("Code", ""), texts.get("Message", ""), region=texts.get("Region", ""))
    if said.status == _FORBIDDEN and not error.fatal:
        remedy = "sync can do without s3:ListBucket; an audit of the bucket can't"
        return warning(
            "bucket", f"{destination} answers in {seconds * 1e3:.0f} ms and may not be listed: {shown(said)}", remedy
        )
    return problem("bucket", error.message, error.hint, blind=True)


async def visibility(store: Store) -> list[Finding]:
    """Whether anybody else may read the bucket."""
    try:
        found = await store.visibility()
    except StoreError as error:
        return [warning("public", f"could not be asked: {error.message}", error.hint)]
    if found is Visibility.PUBLIC:
        return [
            warning(
                "public", "the bucket is public: anybody may read what is put there", "sync refuses what looks like secrets"
            )
        ]
    if found is Visibility.PRIVATE:
        return [ok("public", "the bucket is private, by its policy and its access list")]
    return [warning("public", "the store does not say who may read the bucket", "sync refuses what looks like secrets")]


async def look(wire: Wire, question: Question, endpoint: Endpoint, seconds: float) -> list[Finding]:
    """Probe the store, for so many seconds and what it takes to remove what was made."""
    objects, connection = question.objects, question.connection
    prefix = "" if question.destination is None else question.destination.prefix
    probe = Probe(wire, prefix, secrets.token_hex(8), objects, signed=connection.sign_request, seconds=seconds)
    probed = await probe.whole(objects.algorithm if objects.algorithm.full_object else Algorithm.CRC64NVME)
    signed = connection.sign_request and not (connection.unsigned_payload and endpoint.url.startswith("https:"))
    return list(findings(probed, objects.algorithm, signed=signed))


def findings(probed: Probed, algorithm: Algorithm, *, signed: bool = True) -> Iterator[Finding]:
    """What a probe found, for somebody who wants to sync with this checksum algorithm, with bodies `signed` or not."""
    found = probed.guarantees
    yield _writing(probed)
    for key in probed.left:
        yield warning(
            "probe", f"{key} could not be removed", "remove it, and see that these credentials may delete what they made"
        )
    if not found.verdicts:
        return
    yield _one(found, names.KEEPS_BYTES, "bytes", Level.PROBLEM)
    if names.unguarded(found, algorithm, signed=signed):
        what = (
            f"neither a body's signed hash nor its {algorithm.value} is verified"
            if signed
            else f"{algorithm.value} is not verified"
        )
        unnoticed = "a byte that changes on the way is not noticed"
        yield problem("bodies", f"{what}: {unnoticed}", "use another store" if signed else "leave out --unsigned-payload")
    else:
        yield _one(found, names.SIGNED_PAYLOAD, "signed body", Level.WARNING)
        yield _one(found, names.verifies(algorithm), algorithm.value, Level.WARNING)
    yield _one(found, names.tells(algorithm), f"{algorithm.value} kept", Level.WARNING)
    yield _other_checksums(found, algorithm)
    yield _one(found, names.TAKES_PARTS, "multipart", Level.PROBLEM)
    yield _one(found, names.LISTS_PARTS, "parts listed", Level.PROBLEM)
    for name, topic in zip(_PARTS, ("uploads listed", "whole checksum", "whole size"), strict=True):
        yield _one(found, name, topic, Level.WARNING)
    yield _one(found, names.CONDITIONAL_PUT, "no overwriting", Level.WARNING)
    yield _one(found, names.CONDITIONAL_COMPLETE, "… of parts", Level.WARNING)
    yield _one(found, names.DECODES_FRAMES, "aws-chunked", Level.WARNING)


def _writing(probed: Probed) -> Finding:
    verdict = probed.guarantees.of(names.WRITES)
    if probed.unable:
        remedy = "what a store verifies is tried with objects that are removed again" if not probed.guarantees.verdicts else ""
        return warning("writing", f"not tried: {probed.unable}" if remedy else probed.unable, remedy)
    if verdict.answer is Answer.NO:
        return problem(
            "writing", f"these credentials may not write: {verdict.why}", "allow s3:PutObject in the bucket's policy"
        )
    if verdict.answer is Answer.UNKNOWN:
        return problem("writing", f"an object could not be written: {verdict.why}")
    return ok("writing", "an object was written, read again and removed")


def _one(found: Guarantees, name: str, topic: str, missing: Level) -> Finding:
    verdict, words = found.of(name), TABLE[name]
    if verdict.answer is Answer.YES:
        return ok(topic, words.given)
    if verdict.answer is Answer.NO:
        return Finding(topic, missing, words.missing, "use another store" if missing is Level.PROBLEM else "")
    return warning(topic, f"not known{f': {verdict.why}' if verdict.why else ''}")


def _other_checksums(found: Guarantees, algorithm: Algorithm) -> Finding:
    others = [each for each in Algorithm if each is not algorithm]
    verified = [each.value for each in others if found.gives(names.verifies(each))]
    ignored = [each.value for each in others if found.lacks(names.verifies(each))]
    parts = [f"{', '.join(some)} {what}" for some, what in ((verified, "verified"), (ignored, "ignored")) if some]
    md5 = {Answer.YES: "verified", Answer.NO: "ignored", Answer.UNKNOWN: "not known"}[found.of(names.CONTENT_MD5).answer]
    return ok("other checksums", "; ".join([*parts, f"Content-MD5 {md5}"]))
