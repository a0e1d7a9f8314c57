"""All that `doctor` looks at, at once: each check in its own time, and none stops another.

Owns which checks there are for what was given, their order, and the bound on each. What they find is theirs.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from asyncmirror.doctor import bucket, files, identity, machine, network
from asyncmirror.doctor.finding import Finding, problem, warning
from asyncmirror.doctor.question import Question
from asyncmirror.engine.journals import belongs, default_journal
from asyncmirror.errors import AsyncmirrorError
from asyncmirror.settings import Destination
from asyncmirror.store.session import Endpoint
from asyncmirror.store.wire.plane import Wire
from asyncmirror.store.wire.store import WireStore

T = TypeVar("T")
_PATIENCE = 10.0
"""Seconds for one check."""
_REMOVING = 10.0
"""Seconds that a probe has on top, to remove what it made."""
_CONNECTIONS = 8


async def examine(question: Question, patience: float = _PATIENCE) -> list[Finding]:
    """Look at everything, each check for at most `patience` seconds; the findings in the order in which they are to be read."""
    look = partial(_bounded, patience=patience)
    checks = [
        look("machine", lambda: _in_thread(partial(machine.examine, question.tuning))),
        look("journal", lambda: _in_thread(partial(files.journal, *_journal(question)))),
    ]
    if question.source is not None:
        source = partial(files.source, question.source)
        checks.append(look("source", lambda: _in_thread(source)))
    checks.append(look("credentials", lambda: identity.examine(question.connection)))
    if question.destination is not None:
        checks.append(_store(question, question.destination, patience))
    return [finding for found in await asyncio.gather(*checks) for finding in found]


async def _store(question: Question, destination: Destination, patience: float) -> list[Finding]:
    """All that has to do with the store. Where it can't be opened, nothing of it can be looked at."""
    adapter = WireStore(destination.bucket, question.connection, question.objects, _CONNECTIONS, timeout=patience)

    async def enter() -> list[Finding]:
        await adapter.__aenter__()
        return []

    failed = await _bounded("endpoint", enter, patience=patience)
    endpoint, wire = adapter.endpoint, adapter.wire
    if endpoint is None:
        return failed
    try:
        region = identity.region_finding(question.connection, endpoint.region, question.flags)
        where = identity.endpoint_finding(
            question.connection, endpoint.url.removesuffix(f"/{destination.bucket}"), question.flags
        )
        if wire is None:
            return [region, where, warning("proxy", f"not looked at: {adapter.sdk_serves}")]
        return [region, where, *await _answers(question, adapter, endpoint, wire, patience)]
    finally:
        await adapter.__aexit__(None, None, None)


async def _answers(question: Question, adapter: WireStore, endpoint: Endpoint, wire: Wire, patience: float) -> list[Finding]:
    look, destination = partial(_bounded, patience=patience), question.destination
    assert destination is not None
    names, tls, reached = await asyncio.gather(
        look("addresses", lambda: network.addresses(endpoint)),
        look("TLS", lambda: network.certificate(endpoint)),
        look("bucket", lambda: bucket.reach(wire, destination)),
    )
    found = [*names, *tls, *reached]
    if any(finding.blind for finding in found):
        return found
    found += await look("public", lambda: bucket.visibility(adapter))
    if not question.write:
        return [*found, warning("writing", "not tried (--no-write), nor what the store verifies")]
    probe = partial(bucket.look, wire, question, endpoint, patience)
    return [*found, *await _bounded("writing", probe, patience=patience + _REMOVING)]


async def _bounded(topic: str, look: Callable[[], Awaitable[list[Finding]]], *, patience: float) -> list[Finding]:
    """One check; what goes wrong is a finding too."""
    try:
        async with asyncio.timeout(patience):
            return await look()
    except TimeoutError:
        return [
            problem(topic, f"could not be found out within {patience:g} s", "is it a network that does not answer?", blind=True)
        ]
    except AsyncmirrorError as error:
        return [problem(topic, error.message, error.hint, blind=True)]
    except OSError as error:
        return [problem(topic, str(error), blind=True)]


async def _in_thread(function: Callable[[], T]) -> T:
    """Call something that may hang on a file system that is gone: in a thread that the process does not wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: Exception | None) -> None:
        if not future.done():
            future.set_exception(error) if error is not None else future.set_result(value)  # type: ignore[arg-type]  # one of both

    def run() -> None:
        value, failure = None, None
        try:
            value = function()
        except Exception as error:  # noqa: BLE001  raised where it is awaited
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, daemon=True).start()
    return await future


def _journal(question: Question) -> tuple[Path, Path | None]:
    """The directory of the journal, and the journal where it is told which one is meant."""
    path = question.journal
    if path is None and question.source is not None and question.destination is not None:
        path = default_journal(belongs(question.source, question.destination, question.connection))
    if path is None:
        return default_journal(belongs(Path("/"), Destination("bucket"), question.connection)).parent, None
    return path.parent, path
