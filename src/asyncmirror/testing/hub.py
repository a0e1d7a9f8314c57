"""What all connections of a checking server share, and how a request becomes a line of the log.

Owns the numbering of requests and connections. Knows no protocol.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from asyncmirror.testing.answers import Reply
from asyncmirror.testing.faults import FaultCount, FaultPlan
from asyncmirror.testing.log import LoggedRequest, RequestLog
from asyncmirror.testing.request import Request
from asyncmirror.testing.service import Service

_UPLOAD_ID = (b"<UploadId>", b"</UploadId>")


class Connection(Protocol):
    """What the hub knows of a connection."""

    def abort(self) -> None:
        """End it at once."""
        ...


@dataclass(slots=True)
class Hub:
    """What all connections of a server share."""

    service: Service
    log: RequestLog
    loop: asyncio.AbstractEventLoop
    faults: FaultCount = field(default_factory=lambda: FaultCount(FaultPlan()))
    faults_since: float = 0.0
    numbered: int = 0
    connected: int = 0
    open: set[Connection] = field(default_factory=set)
    crashes: list[Exception] = field(default_factory=list)
    """Defects of the server itself. They must not pass for faults of the plan."""

    def inject(self, plan: FaultPlan) -> None:
        """Begin a plan; its counts and its time start now."""
        self.faults = FaultCount(plan)
        self.faults_since = self.loop.time()


def line_of(request: Request | None, reply: Reply | None, number: int, body_bytes: int, *, done: bool) -> LoggedRequest:
    """The log's line for a request; None for a head that made no sense, or for no answer."""
    upload_id = request.arg("uploadId") if request is not None else ""
    if request is not None and request.op == "CreateMultipartUpload" and reply is not None:
        upload_id = reply.body.partition(_UPLOAD_ID[0])[2].partition(_UPLOAD_ID[1])[0].decode()
    return LoggedRequest(
        number=number,
        op=request.op if request is not None else "",
        bucket=request.bucket if request is not None else "",
        key=request.key if request is not None else "",
        query=dict(request.query) if request is not None else {},
        status=reply.status if reply is not None else 0,
        code=reply.code if reply is not None else "",
        body_bytes=body_bytes,
        part_number=request.part_number if request is not None else 0,
        upload_id=upload_id,
        done=done,
        fault="",
        connection=0,
    )
