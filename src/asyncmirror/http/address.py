"""Where the page is served: an address and a port, as ``--http`` takes them.

Owns the form of the text. Knows no socket and no token.
"""

from dataclasses import dataclass

from asyncmirror.errors import UsageError

_LOOPBACK = "127.0.0.1"
_LAST_PORT = 65535
_HINT = "write it as ADDRESS:PORT, such as 127.0.0.1:8642 or [::1]:8642"


@dataclass(frozen=True, slots=True)
class Address:
    """A host's name or an IP address without brackets, and a port; 0: any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address:
    """Read ``ADDRESS:PORT``; a port by itself is on loopback.

    Raises:
        UsageError: It is no such thing. Nothing is looked up.
    """
    host, colon, digits = text.strip().rpartition(":")
    if not colon:
        host = _LOOPBACK
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not host or not host.isascii() or not host.isprintable() or set(host) & set("/@[] ") or (":" in host) != bracketed:
        raise UsageError(f"{text!r} is no address", hint=_HINT)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(_LAST_PORT)) and int(digits) <= _LAST_PORT):
        raise UsageError(f"{text!r} has no port", hint=_HINT)
    return Address(host, int(digits))
