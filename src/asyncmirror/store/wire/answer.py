"""Reading one HTTP answer after another from the bytes of one connection.

Owns when an answer is whole, what is too long, and what must not follow it. No I/O, no request. httptools (llhttp)
parses: it refuses two lengths, a length beside chunks, bare line breaks and all else that lets two readers disagree.
"""

from collections.abc import Mapping
from typing import NamedTuple

import httptools

from asyncmirror.errors import ConnectionFaultError
from asyncmirror.store.extent import PARTIAL
from asyncmirror.store.wire.inflow import Inflow

MAX_HEAD = 32 << 10
"""Bytes of an answer's head. S3's own are below 2 KiB; Apache and nginx allow 8 KiB for one line."""
MAX_ANSWER = 1 << 20
"""Bytes of a whole answer. An error document is below 2 KiB."""
WHOLE = 64 << 10
"""Bytes of a body that is waited for; a larger one is handed over while it comes, where that was asked for."""
OK = 200
"""The one status with which S3 confirms a body, or gives an object; another success (202, say) confirms nothing."""
GIVES = frozenset({OK, PARTIAL})
_SUCCESS = 200
_REDIRECT = 300


class Answer(NamedTuple):
    """An HTTP answer. Names of headers are lower case. Complete, but where the body is the `rest`, which is on its way."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes
    rest: Inflow | None = None

    @property
    def success(self) -> bool:
        """Whether the status is one of success."""
        return self.status < _REDIRECT


class AnswerReader:
    """Reads the answers of one connection. `next` before each request, `feed` with all that comes."""

    __slots__ = ("_content", "_headers", "_parser", "_persists", "_status", "_streams", "complete", "extra", "received")

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.next()

    def next(self, *, streams: bool = False) -> None:
        """Make ready for the next answer; of a success that `streams` no more is kept than was fed since the last `take`."""
        self._status = 0
        self._streams = streams
        self._headers: dict[bytes, bytes] = {}
        self._content: list[bytes] = []
        self.received = 0  # bytes since then
        self.complete = False
        self._persists = False
        self.extra = False  # whether more came than the answer

    def feed(self, data: bytes) -> None:
        """Take some bytes; sets `complete`.

        Raises:
            ConnectionFaultError: They are no HTTP answer, or too long a one. The reader can't be used any more.
        """
        self.received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise ConnectionFaultError(f"the answer is not HTTP: {error}") from error
            self.extra = True
        if self.received > MAX_HEAD and (not self._status or self._is_too_long() or self._head_size() > MAX_HEAD):
            raise ConnectionFaultError("the answer is too long")

    def _is_too_long(self) -> bool:
        return self.received > MAX_ANSWER and not (self._streams and self._status in GIVES)

    def _head_size(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self._headers.items())

    def answer(self) -> Answer:
        """The answer, once it is complete."""
        return Answer(self._status, self._headers, b"".join(self._content))

    def answer_to_come(self, rest: Inflow) -> Answer | None:
        """The answer, once so much is known of it that its body may follow; None before, and where it is worth waiting for."""
        if not self._streams or self.complete or self._status not in GIVES or self.ends_with_connection:
            return None
        if int(self._headers.get(b"content-length", WHOLE + 1)) <= WHOLE:  # chunks tell no length
            return None
        return Answer(self._status, self._headers, b"", rest)

    def take(self) -> bytes:
        """What of the body was fed since the last time."""
        content, self._content = self._content, []
        return content[0] if len(content) == 1 else b"".join(content)

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request, as the answer has it."""
        return self._persists and not self.extra

    @property
    def ends_with_connection(self) -> bool:
        """Whether the head is whole and nothing but the connection's end tells where the body ends."""
        framed = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        return self._status >= _SUCCESS and not framed

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """The start of an answer."""
        if self.complete:
            self.extra = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or, after the body, a trailer, which nobody asked for."""
        if not self._status:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if not self.complete:
            self._status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self.complete:
            self._content.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole; one that is informational (1xx) is skipped."""
        if self.complete:
            return
        if self._status < _SUCCESS:
            self._status = 0
            self._headers = {}
        else:
            self.complete = True
            self._persists = self._parser.should_keep_alive()  # the parser forgets it when this callback returns
