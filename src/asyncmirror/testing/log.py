"""The request log: one frozen line per request, in the order they ended, in memory and optionally in a JSON Lines file.

Owns the line's shape and the file. Knows no protocol. A line is written with one `write` in append mode before the answer
goes out, so a client that was answered finds its request in the file.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request that ended.

    Args:
        number: Ordinal by arrival of its head, from 1.
        op: S3's name of the operation; empty when the head made no sense.
        bucket: The bucket, empty for none.
        key: The key, empty for none.
        query: Decoded query arguments.
        status: The HTTP status that was, or would have been, answered; 0 when the request did not come to its end.
        code: The error code answered; empty for success.
        body_bytes: How many bytes of its body arrived.
        part_number: From the query, 0 for none.
        upload_id: From the query, or made by a CreateMultipartUpload.
        done: Whether the operation took effect.
        fault: The kind of fault that struck it; empty for none.
        connection: Ordinal of the connection it came over, from 1.
        headers: Its headers, lower case, when the server is configured to keep them.
    """

    number: int
    op: str
    bucket: str
    key: str
    query: Mapping[str, str]
    status: int
    code: str
    body_bytes: int
    part_number: int
    upload_id: str
    done: bool
    fault: str
    connection: int
    headers: Mapping[str, str] = field(default_factory=dict)


class RequestLog:
    """All requests of a server."""

    def __init__(self, path: Path | None = None) -> None:
        self.lines: list[LoggedRequest] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._file = -1 if path is None else os.open(path, flags, 0o644)

    def add(self, line: LoggedRequest) -> None:
        """Append a line."""
        self.lines.append(line)
        for count, future in self._waiting:
            if len(self.lines) >= count and not future.done():
                future.set_result(None)
        if self._file >= 0:
            os.write(self._file, orjson.dumps(asdict(line), option=orjson.OPT_APPEND_NEWLINE))

    async def reached(self, count: int) -> None:
        """Wait until there are so many lines."""
        if len(self.lines) >= count:
            return
        entry = (count, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            await entry[1]
        finally:
            self._waiting.remove(entry)

    def close(self) -> None:
        """Close the file. Lines can still be added in memory."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_log(path: Path) -> list[LoggedRequest]:
    """The lines of a log file. An unfinished last line, as a killed server leaves it, is left out."""
    return [LoggedRequest(**orjson.loads(line)) for line in path.read_bytes().split(b"\n")[:-1]]
