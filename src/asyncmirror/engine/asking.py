"""Asking a running process something, or telling it to do something: the other end of `engine.control`.

Owns who is asked (the holder of a journal's lock) and what its silence means. Blocks; needs no event loop.
"""

import json
import os
import socket
import struct
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path

from asyncmirror.errors import AsyncmirrorError, JournalError, ProcessError, UsageError
from asyncmirror.journal.lock import Holder

PATIENCE = 30.0
"""Seconds to wait for an answer: counting 100 M rows takes a while."""
_CREDENTIALS = struct.Struct("3i")
_USAGE = 2


def ask(running: Holder, journal: Path, request: Mapping[str, object], patience: float = PATIENCE) -> object:
    """Ask one thing.

    Args:
        running: Who has the journal.
        journal: For errors.
        request: What is asked; `engine.control` says how it looks.
        patience: Seconds to wait.

    Returns:
        The answer, as JSON has it.

    Raises:
        JournalError: The process does not answer.
        UsageError: It can't do that.
        ProcessError: It could not do it; or it was another error of its.
    """
    with closing(follow(running, journal, request, patience)) as answers:
        for answer in answers:
            return answer
    raise _silent(running, journal, "it said nothing")


def follow(
    running: Holder, journal: Path, request: Mapping[str, object], patience: float | None = PATIENCE
) -> Generator[object]:
    """Ask for one thing after the other, until the process has no more to say. Arguments and errors as in `ask`."""
    if not running.endpoint:
        raise _silent(running, journal, "it has only begun, or could make no socket")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(patience)
            client.connect(running.endpoint)
            _check(client)
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as lines:
                for line in lines:
                    yield _answer(line)
    except AsyncmirrorError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise _silent(running, journal, str(error) or type(error).__name__) from None


def _check(client: socket.socket) -> None:
    """See that it is not somebody else who listens there."""
    _, uid, _ = _CREDENTIALS.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise UsageError(f"the process belongs to another user (uid {uid})", hint="ask as that user")


def _answer(line: bytes) -> object:
    found = json.loads(line)
    if not (isinstance(found, dict) and "error" in found):
        return found
    told = {key: str(found.get(key, "")) for key in ("op", "path", "hint")}
    kind = UsageError if found.get("exit_code") == _USAGE else ProcessError
    raise kind(str(found["error"]), **told)


def _silent(running: Holder, journal: Path, why: str) -> JournalError:
    here = running.host == socket.gethostname()
    return JournalError(
        f"process {running.pid} on {running.host} has the journal and does not answer: {why}",
        path=os.fspath(journal),
        hint="ask again later, or when it has ended" if here else "ask on that host, or when it has ended",
    )
