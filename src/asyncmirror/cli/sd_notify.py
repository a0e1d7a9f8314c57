"""What a process tells systemd, or whoever else speaks its protocol: sd_notify(3).

Owns the datagrams and the socket. Where nobody listens, or who listened is gone, nothing is told and nothing fails: a run does
not depend on its supervisor. Knows no run.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_MICRO = 1_000_000
_LONGEST = 500
"""Bytes of a status, which is one line in `systemctl status`."""


class Supervisor:
    """Who is told. `watchdog` is the time in seconds within which it wants a sign of life; None: it wants none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._socket = _connected(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog = _watchdog(environ) if self else None

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return self._socket is not None

    def ready(self) -> None:
        """The start is over; or a reload."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The process will end."""
        self._send("STOPPING=1")

    def reloading(self) -> None:
        """The configuration is read again; `ready` ends that."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def alive(self) -> None:
        """The sign of life."""
        self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Start or stop take so long still, whatever was set."""
        self._send(f"EXTEND_TIMEOUT_USEC={seconds * _MICRO:.0f}")

    def status(self, text: str) -> None:
        """A line for people; it must be fit to be shown."""
        cut = text.replace("\n", " ").encode("utf-8", "replace")[:_LONGEST]
        self._send(f"STATUS={cut.decode('utf-8', 'ignore')}")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send("\n".join(lines).encode("utf-8"))


def _connected(address: str) -> socket.socket | None:
    """A socket that speaks to this address: an absolute path, or an abstract name behind an ``@``."""
    if not address.startswith(("/", "@")):
        return None
    spoken = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        spoken.connect("\0" + address[1:] if address.startswith("@") else address)
    except (OSError, ValueError):
        spoken.close()
        return None
    return spoken


def _watchdog(environ: Mapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # it is meant for another process, which has passed its environment on
    try:
        return int(environ.get("WATCHDOG_USEC", "0")) / _MICRO or None
    except ValueError:
        return None
