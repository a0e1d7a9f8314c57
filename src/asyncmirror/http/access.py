"""Who may look: the token, the cookie that stands for it in a browser, and the names that this machine goes by.

Owns the decision, as a pure function of a request's headers, and where a token comes from: a variable or a private file, never
the command line, which every user of the machine can read. Knows no socket and no page.

With a token, a request shows it as ``Authorization: Bearer``, or has the cookie that was given for it. Without one, which is
allowed on loopback only, any program of this machine may look; a web page may not: a name that its owner has pointed at
127.0.0.1 (DNS rebinding) is known by the Host header and refused.
"""

import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from enum import Enum
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from pathlib import Path

from asyncmirror.errors import UsageError

VARIABLE = "ASYNCMIRROR_HTTP_TOKEN"
"""The environment variable that holds the token."""
_SHORTEST = 16
"""Characters of a token: 64 bits, where it is written in hexadecimal digits."""
_LONGEST = 1024
_HINT = "make one with: openssl rand -hex 32"


class Verdict(Enum):
    """What becomes of a request."""

    ADMITTED = "admitted"
    NO_TOKEN = "no or a wrong token"  # noqa: S105  a verdict, not a token
    WRONG_HOST = "a name that is not this machine's"


class Access:
    """Decides who may look.

    Args:
        token: What a request must show; None: nothing, for loopback.
        port: Where it is served: cookies are shared by all ports of a host, so that it stands in the cookie's name.
    """

    def __init__(self, token: str | None, port: int) -> None:
        self._token = None if token is None else token.encode()
        self.cookie_name = f"asyncmirror-{port}"
        # The cookie is not the token, so that no browser keeps that; it is the same after a restart, so that pages go on.
        self.cookie = "" if token is None else hmac.digest(token.encode(), b"asyncmirror http cookie", "sha256").hex()

    @property
    def needs_token(self) -> bool:
        """Whether a token must be shown."""
        return self._token is not None

    def judge(self, headers: Mapping[str, str]) -> Verdict:
        """What becomes of a request with these headers (a mapping that ignores case)."""
        if self._token is None:
            return Verdict.ADMITTED if _is_local(headers.get("Host", "")) else Verdict.WRONG_HOST
        scheme, _, shown = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.accepts(shown.strip()):
            return Verdict.ADMITTED
        return Verdict.ADMITTED if _same(self._cookie(headers.get("Cookie", "")), self.cookie.encode()) else Verdict.NO_TOKEN

    def accepts(self, shown: str) -> bool:
        """Whether this is the token."""
        return self._token is not None and _same(shown.encode("utf-8", "surrogateescape"), self._token)

    def _cookie(self, header: str) -> bytes:
        try:
            found = SimpleCookie(header).get(self.cookie_name)
        except CookieError:
            return b""
        return b"" if found is None else found.value.encode("utf-8", "surrogateescape")


def _same(one: bytes, other: bytes) -> bool:
    """Whether they are equal, in a time that tells neither where they differ nor how long they are."""
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine's loopback, on whatever port: that of a tunnel is another one."""
    name = host.strip().lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    return name in ("localhost", "localhost.") or is_loopback(name)


def is_loopback(host: str) -> bool:
    """Whether this is an IP address that only this machine can reach."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def find_token(environ: Mapping[str, str], file: Path | None) -> str | None:
    """The token: the file's, or else the variable's; None where there is neither.

    Raises:
        UsageError: The file can't be read or others may read it too, or the token is too short to be one.
    """
    if file is None:
        text = environ.get(VARIABLE, "")
        return _check(text, VARIABLE) if text else None
    path = os.fspath(file)
    try:
        # Opening a FIFO would wait for somebody to write into it.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as opened:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
                raise UsageError("the file with the token must be private", path=path, hint="chmod 600 it")
            data = opened.read(_LONGEST + 1)
    except OSError as error:
        raise UsageError(f"the token can't be read: {error.strerror}", path=path) from None
    return _check(data.decode("utf-8", "replace").strip(), path)


def _check(token: str, origin: str) -> str:
    if not (token.isascii() and token.isprintable() and " " not in token and _SHORTEST <= len(token) <= _LONGEST):
        # The message does not repeat it.
        raise UsageError(
            f"the token must be {_SHORTEST} to {_LONGEST} characters of printable ASCII without blanks", path=origin, hint=_HINT
        )
    return token
