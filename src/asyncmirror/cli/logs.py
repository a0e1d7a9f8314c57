"""What is logged, from which level on, and what never is.

Owns the levels, and the handler of stderr: its lines are escaped, and no credential passes it, whoever logged it. The SDK's and
the HTTP client's loggers stay at "warning" or above whatever the level, because botocore writes session tokens at "debug". A
log file's form and fate are `cli.log_file`'s. Knows no engine.
"""

import logging
import re
import time
from collections import deque
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from asyncmirror.cli import stderr
from asyncmirror.text import show_lines

STORY = "asyncmirror.run"
"""The logger that tells a log file what a run's screen tells a person; stderr has the screen."""
_SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "ASYNCMIRROR_HTTP_TOKEN",
)
_FOREIGN = ("aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore", "s3transfer", "urllib3")
_UPLOADER = "asyncmirror.engine.process"
_KEPT = 50
"""Lines that a report shows."""
_HIDDEN = "[hidden]"
# A header or a query parameter that authenticates, as it stands in a dump of headers, a dictionary's repr or a URL. The value
# ends at a quote, at the end of the line or at a parameter's end; Authorization holds blanks and commas. A comma parts name
# and value only behind a quote, in a tuple's repr: in a hint, names of variables are followed by commas, too.
_AUTHENTICATION = re.compile(
    r"""(?ix)
    ( (?:proxy-)?authorization | x-amz-security-token | x-amz-signature | x-amz-credential
    | aws_?secret_?access_?key | aws_?session_?token )
    ( ["']? \s* [:=] \s* b?["']? | ["'] \s* , \s* b?["'] )
    ( [^"'&\r\n]+ )
    """
)
# A login in a URL, such as a proxy's.
_LOGIN = re.compile(r"//[^/\s]*@")
_SHORTEST_PATH = 8  # of a hook; shorter ones ("alert") are words of any text, and are hidden with their host only
_SHORTEST_PASSWORD = 6  # shorter ones are hidden within their URL only: elsewhere they may be part of any word


class Redactor:
    """Takes credentials out of text: the environment's, whatever stands behind an authenticating header, logins in URLs.

    Args:
        environ: Where credentials and proxies stand.
        hooks: URLs that somebody is told by: who knows their path may write there.
    """

    def __init__(self, environ: Mapping[str, str], hooks: Iterable[str] = ()) -> None:
        values = {environ.get(name, "") for name in _SECRET_VARIABLES}
        for hook in (*hooks, *environ.get("ASYNCMIRROR_NOTIFY", "").split("\n")):
            values |= _paths(hook)
        for name, value in environ.items():
            if name.lower().endswith("_proxy"):
                values |= _passwords(value)
        # The longest first: one value may contain another.
        self._values = sorted((value for value in values if value), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without them."""
        for value in self._values:
            text = text.replace(value, _HIDDEN)
        text = _LOGIN.sub(f"//{_HIDDEN}@", text)
        return _AUTHENTICATION.sub(rf"\1\2{_HIDDEN}", text)


def _paths(hook: str) -> set[str]:
    """What stands behind the host of a URL, and what is a password in front of it."""
    scheme, colon, rest = hook.partition("://")
    host, _, path = rest.partition("/")
    if not colon or scheme not in ("http", "https"):
        return set()
    return {path if len(path) >= _SHORTEST_PATH else rest if path else "", *_passwords(host)}


def _passwords(proxy: str) -> set[str]:
    """A proxy's password, as it stands in its URL and as it is; it need not be a proper URL."""
    login, at, _ = proxy.rpartition("@")
    password = login.rpartition("//")[2].partition(":")[2]
    return {word for word in (password, unquote(password)) if at and len(word) >= _SHORTEST_PASSWORD}


class _Formatter(logging.Formatter):
    def __init__(self, redact: Redactor) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The whole record with its traceback: a credential may stand in an argument or in an exception's text."""
        return show_lines(self._redact(super().format(record)))


class _Stderr(logging.Handler):
    """Writes to what `sys.stderr` is at that moment: a live screen puts itself in its place, to keep lines above itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(lambda record: record.name != STORY)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        stderr.write([self.format(record)])


class _Recent(logging.Handler):
    """Keeps the last lines, for a report of an error that should not be."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: deque[str] = deque(maxlen=_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        when = time.strftime("%H:%M:%S", time.gmtime(record.created))
        self.lines.append(f"{when} {self.format(record)}")


def recent() -> tuple[str, ...]:
    """The last lines that were logged, at "info" or above whatever stderr's level."""
    return tuple(line for handler in logging.getLogger().handlers if isinstance(handler, _Recent) for line in handler.lines)


def configure(level: str, redact: Redactor, file: logging.Handler | None = None) -> None:
    """Log to stderr from this level on (``debug``, ``info``, ``warning`` or ``error``), and to a file as `set_level` says."""
    handler, formatter = _Stderr(), _Formatter(redact)
    handler.setFormatter(formatter)
    handlers: list[logging.Handler] = [handler, _Recent(formatter)]
    logging.basicConfig(handlers=handlers if file is None else [*handlers, file], force=True)
    logging.raiseExceptions = False
    set_level(level)


def set_level(level: str) -> None:
    """Change what is logged, while it runs: on stderr from this level on, in a log file from there on and from "info" on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    low = min(threshold, logging.INFO)
    for handler in root.handlers:
        handler.setLevel(threshold if isinstance(handler, _Stderr) else logging.NOTSET if isinstance(handler, _Recent) else low)
    root.setLevel(low)
    # A bug of an uploader process comes with its traceback at "debug": a report of it shows that, whatever is shown otherwise.
    logging.getLogger(_UPLOADER).setLevel(logging.DEBUG)
    for name in _FOREIGN:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
