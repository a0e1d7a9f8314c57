"""A strict S3 server that can misbehave on purpose, for tests, benchmarks and the demo.

Owns everything that stands in for a store on the other end of a socket. No product room imports it.
"""

from asyncmirror.testing.clock import Clock
from asyncmirror.testing.config import ServerConfig
from asyncmirror.testing.faults import Fault, FaultPlan, Kind
from asyncmirror.testing.log import LoggedRequest, read_log
from asyncmirror.testing.profiles import (
    AWS,
    HETZNER,
    MINIO,
    NULL,
    PROFILES,
    RGW,
    STORAGEGRID,
    STRICT,
    AwsChunked,
    Profile,
    RepeatedComplete,
)
from asyncmirror.testing.server import S3Server
from asyncmirror.testing.signature import Credentials
from asyncmirror.testing.state import Access, StoredObject, StoredPart, StoredUpload

__all__ = [
    "AWS",
    "HETZNER",
    "MINIO",
    "NULL",
    "PROFILES",
    "RGW",
    "STORAGEGRID",
    "STRICT",
    "Access",
    "AwsChunked",
    "Clock",
    "Credentials",
    "Fault",
    "FaultPlan",
    "Kind",
    "LoggedRequest",
    "Profile",
    "RepeatedComplete",
    "S3Server",
    "ServerConfig",
    "StoredObject",
    "StoredPart",
    "StoredUpload",
    "read_log",
]
