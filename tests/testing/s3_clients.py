"""Clients for the tests of the strict server: boto3 for what real clients send, a raw one for what they never would."""

import asyncio
import contextlib
import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError

from asyncmirror.testing import S3Server

_SESSION = boto3.session.Session(aws_access_key_id="testkey", aws_secret_access_key="testsecret", region_name="us-east-1")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        match = re.search(rb"<Code>(.*?)</Code>", self.body)
        return match[1].decode() if match else ""


class _Signer(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    def __init__(self, credentials: BotoCredentials, region: str, stated: str | None) -> None:
        super().__init__(credentials, "s3", region)
        self._stated = stated

    def payload(self, request: AWSRequest) -> str:
        return self._stated or str(super().payload(request))


@dataclass
class Raw:
    """A request signed by botocore, then sent as it is told: with other bytes, headers or targets than were signed."""

    server: S3Server
    access_key: str = "testkey"
    secret_key: str = "testsecret"
    token: str | None = None
    region: str = "us-east-1"
    host: str = ""
    secure: bool = False

    def sign(self, method: str, target: str, headers: Mapping[str, str], body: bytes, stated: str | None) -> dict[str, str]:
        host = self.host or f"{self.server.config.host}:{self.server.port}"
        scheme = "https" if self.secure else "http"
        request = AWSRequest(method=method, url=f"{scheme}://{host}{target}", data=body, headers={**headers, "Host": host})
        _Signer(BotoCredentials(self.access_key, self.secret_key, self.token), self.region, stated).add_auth(request)
        return dict(request.headers)

    async def __call__(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        stated: str | None = None,
        late_headers: Mapping[str, str] | None = None,
        sent: bytes | None = None,
        anonymous: bool = False,
    ) -> Answer:
        """`stated`: x-amz-content-sha256. `late_headers` are added, and `sent` goes out for `body`, after signing."""
        signed = {} if anonymous else self.sign(method, target, headers or {}, body, stated)
        everything = {**(headers or {}), **signed, **(late_headers or {})}
        return await asyncio.to_thread(self._send, method, target, everything, body if sent is None else sent)

    def _send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        connection = http.client.HTTPConnection(self.server.config.host, self.server.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


class Boto:
    """boto3's client, each call in a thread; one attempt, and checksums only where asked."""

    def __init__(self, server: S3Server, **options: Any) -> None:
        settings: dict[str, Any] = {
            "retries": {"total_max_attempts": 1},
            "s3": {"addressing_style": "path"},
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "read_timeout": 10,
            **options.pop("config", {}),
        }
        self.client = _SESSION.client("s3", endpoint_url=options.pop("url", server.url), config=Config(**settings), **options)

    async def __call__(self, operation: str, **arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = await asyncio.to_thread(getattr(self.client, operation), **arguments)
        return result

    async def code(self, operation: str, **arguments: Any) -> str:
        """The error code of a call that must fail."""
        with pytest.raises(ClientError) as caught:
            await self(operation, **arguments)
        return str(caught.value.response["Error"]["Code"])
