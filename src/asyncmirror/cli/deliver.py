"""How an alert reaches somebody: a command that gets it on stdin, or a URL that it is posted to.

Owns the two ways, their deadlines and what a failure is called: without a URL's path or a command's arguments, which may hold a
secret. Neither way is trusted to end: a command is killed with all that it has started, a request is given up. What is told,
and when, is `cli.notify`'s.
"""

import asyncio
import contextlib
import io
import os
import shlex
import signal
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from asyncmirror.errors import OutputError

COMMAND_DEADLINE = 60.0
"""Seconds that a command may take."""
POST_DEADLINE = 15.0
"""Seconds that one attempt to post may take."""
_PAUSES = (2.0, 10.0)
"""Seconds before the second and the third attempt."""
_HANGING_ON = 1.0
"""Seconds that the rest of what a command says is waited for."""
_TAIL = 2000
_TOO_MANY, _SERVER_FAULT = 429, 500
# What is no command's business: our keys and options, and whose child it is.
_OURS = ("AWS_", "ASYNCMIRROR_", "NOTIFY_SOCKET", "WATCHDOG_", "CREDENTIALS_DIRECTORY", "LISTEN_")


class Target(Protocol):
    """Where alerts go."""

    name: str
    """What it is called in messages: nothing in it is secret."""

    async def deliver(self, body: bytes, variables: Mapping[str, str]) -> None:
        """Deliver one: a JSON object, and the short of it as variables.

        Raises:
            OutputError: It could not be delivered.
        """
        ...


def target(text: str, ca_bundle: Path | None, environ: Mapping[str, str]) -> Target:
    """What is meant by a ``--notify``."""
    if is_url(text):
        return Hook(text, ca_bundle)
    return Command(shlex.split(text), environ)


def is_url(text: str) -> bool:
    """Whether it is no command."""
    return text.startswith(("https://", "http://"))


class Command:
    """A program, run without a shell, in a session of its own, with nothing of ours in its environment."""

    def __init__(self, words: list[str], environ: Mapping[str, str]) -> None:
        self._words = words
        self._environ = {name: value for name, value in environ.items() if not _is_ours(name, value)}
        self.name = os.path.basename(words[0])

    async def deliver(self, body: bytes, variables: Mapping[str, str]) -> None:
        """Run it; the alert is its stdin.

        Raises:
            OutputError: It can't be started, ended badly, or did not end.
        """
        try:
            async with _listening() as (tail, stderr):
                code = await self._run(body, variables, stderr)
        except OSError as error:
            raise OutputError(f"it can't be started: {error.strerror}", path=self.name) from None
        if code:
            complaint = f": {tail.last}" if tail.last else ""
            raise OutputError(f"it ended with exit code {code}{complaint}", path=self.name)

    async def _run(self, body: bytes, variables: Mapping[str, str], stderr: int) -> int:
        # No pipes of asyncio's: it counts a process as ended only when nobody holds them any more.
        stdin = _held(body)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=stdin,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr,
                env={**self._environ, **variables},
                start_new_session=True,
            )
        finally:
            os.close(stdin)
            os.close(stderr)
        try:
            async with asyncio.timeout(COMMAND_DEADLINE):
                return await process.wait()
        except TimeoutError:
            raise OutputError(f"it did not end within {COMMAND_DEADLINE:.0f} s", path=self.name) from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)  # with all that it has started
                await process.wait()


def _held(body: bytes) -> int:
    """A file that holds it, in memory: that the disk is full may be what is told."""
    file = os.memfd_create("alert")
    os.write(file, body)
    os.lseek(file, 0, os.SEEK_SET)
    return file


class _Tail(asyncio.Protocol):
    """The end of what a command says; all of it is read, so that it is never held up."""

    def __init__(self) -> None:
        self._said = b""
        self.over = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._said = (self._said + data)[-_TAIL:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's own signature
        self.over.set()

    @property
    def last(self) -> str:
        """The last line."""
        return self._said.decode("utf-8", "replace").strip().rpartition("\n")[2]


@contextlib.asynccontextmanager
async def _listening() -> AsyncIterator[tuple[_Tail, int]]:
    """What is written to the descriptor that is given along, which whoever gets it closes."""
    ear, mouth = os.pipe()
    transport, tail = await asyncio.get_running_loop().connect_read_pipe(_Tail, io.FileIO(ear))
    try:
        yield tail, mouth
    finally:
        with contextlib.suppress(TimeoutError):
            # What a command has left running may hold it for ever.
            await asyncio.wait_for(tail.over.wait(), _HANGING_ON)
        transport.close()


def _is_ours(name: str, value: str) -> bool:
    return name.startswith(_OURS) or (name.lower().endswith("_proxy") and "@" in value)


class Hook:
    """A URL. Its certificate is verified, redirections are not followed, and only its host is ever named."""

    def __init__(self, url: str, ca_bundle: Path | None) -> None:
        self._url = url
        self._ca_bundle = ca_bundle
        self.name = urlsplit(url).hostname or "?"

    async def deliver(self, body: bytes, variables: Mapping[str, str]) -> None:  # noqa: ARG002  the body has it all
        """Post it; again after a while, where that may help.

        Raises:
            OutputError: The host did not take it.
        """
        for pause in _PAUSES:
            try:
                return await self._post(body)
            except _PassingError:
                await asyncio.sleep(pause)
        return await self._post(body)

    async def _post(self, body: bytes) -> None:
        import aiohttp  # noqa: PLC0415  it takes a tenth of a second to import, and most runs have nothing to tell

        trust = ssl.create_default_context(cafile=self._ca_bundle) if self._url.startswith("https:") else True
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(POST_DEADLINE), trust_env=True) as session,
                session.post(
                    self._url, data=body, headers={"Content-Type": "application/json"}, ssl=trust, allow_redirects=False
                ) as answer,
            ):
                status = answer.status
        except aiohttp.ClientConnectorCertificateError:
            raise OutputError("its certificate is not trusted", path=self.name, hint="see --ca-bundle") from None
        except aiohttp.ClientConnectorError as error:
            raise _PassingError(f"no connection: {error.os_error.strerror}", path=self.name) from None
        except TimeoutError:
            raise _PassingError(f"no answer within {POST_DEADLINE:.0f} s", path=self.name) from None
        except (aiohttp.ClientError, ValueError) as error:  # their texts quote the URL
            raise _PassingError(f"it could not be posted: {type(error).__name__}", path=self.name) from None
        if status == _TOO_MANY or status >= _SERVER_FAULT:
            raise _PassingError(f"it answered {status}", path=self.name)
        if not 200 <= status < 300:  # noqa: PLR2004  success, by HTTP's own numbers
            raise OutputError(f"it answered {status}", path=self.name)


class _PassingError(OutputError):
    """What another attempt may not meet."""


def environment(fields: Mapping[str, object]) -> dict[str, str]:
    """The variables of an alert: ``ASYNCMIRROR_EVENT_TEXT`` and so on, of those fields that are texts or numbers."""
    plain = {name: value for name, value in fields.items() if isinstance(value, str | int | float)}
    return {f"ASYNCMIRROR_EVENT_{name.upper()}": str(value).replace("\0", "") for name, value in plain.items()}
