"""How a server is set up: one frozen value.

Owns the defaults. Sizes are bytes, times seconds.
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asyncmirror.settings import MIN_PART_SIZE
from asyncmirror.testing.faults import FaultPlan
from asyncmirror.testing.profiles import STRICT, Profile
from asyncmirror.testing.signature import Credentials
from asyncmirror.testing.state import PRIVATE, PUBLIC, Access

MAX_PAGE = 1000
"""S3's most keys, parts or uploads in one listing."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What a server is.

    Args:
        host: The address to listen on.
        port: The port; 0 for a free one.
        buckets: Buckets that exist from the start.
        public: Those of them that anybody may read and list, as policy and ACL say.
        access: How open others are, by name; what is named nowhere is private, and blocked against becoming public.
        credentials: The key pairs it accepts.
        region: Its region; a signature for another is refused. Empty: any is taken.
        profile: Which store it behaves like.
        faults: What goes wrong.
        latency: How long every answer is held back, in seconds.
        tls: A server context for TLS; None for plain HTTP.
        domains: Host names below which a bucket is addressed as a subdomain.
        min_part_size: The least size of a part that is not the last, in bytes.
        page_size: The most entries of any listing's page.
        plain_unsigned: Whether UNSIGNED-PAYLOAD is taken without TLS.
        may_list: Whether the credentials may list the bucket. Without, a missing object is 403, as with AWS.
        denied: Operations that are answered with AccessDenied.
        retained: Patterns of keys that DeleteObjects refuses, as under a retention.
        log_path: A JSON Lines file the request log is appended to.
        log_headers: Whether the log keeps headers.
        remember: Whether the null profile remembers keys and sizes, to be able to list them.
    """

    host: str = "127.0.0.1"
    port: int = 0
    buckets: Sequence[str] = ("bucket",)
    public: frozenset[str] = frozenset()
    access: Mapping[str, Access] = field(default_factory=dict)
    credentials: Sequence[Credentials] = (Credentials(),)
    region: str = "us-east-1"
    profile: Profile = STRICT
    faults: FaultPlan = FaultPlan()  # noqa: RUF009  frozen
    latency: float = 0.0
    tls: ssl.SSLContext | None = None
    domains: Sequence[str] = ("localhost",)
    min_part_size: int = MIN_PART_SIZE
    page_size: int = MAX_PAGE
    plain_unsigned: bool = False
    may_list: bool = True
    denied: frozenset[str] = frozenset()
    retained: Sequence[str] = ()
    log_path: Path | None = None
    log_headers: bool = False
    remember: bool = False

    def access_of(self, bucket: str) -> Access:
        """How open a bucket is from the start."""
        return PUBLIC if bucket in self.public else self.access.get(bucket, PRIVATE)
