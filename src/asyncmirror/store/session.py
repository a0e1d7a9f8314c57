"""As whom and where: the AWS configuration chain, resolved once for one bucket.

Owns the aioboto3 session, its client and what both data planes need to know of them (`Endpoint`, `Credentials`). Knows no
object and no operation. aioboto3 is imported when a session is entered, not before: it takes a good part of a second.
"""

import asyncio
import base64
import difflib
import hashlib
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from asyncmirror.errors import BucketError, CredentialsError, UntrustedError
from asyncmirror.settings import Connection
from asyncmirror.store.meter import Meter

if TYPE_CHECKING:
    from aiobotocore.session import AioSession
    from botocore.loaders import Loader
    from types_aiobotocore_s3 import S3Client

DEFAULT_REGION = "us-east-1"
"""Where requests go if nothing tells, as with all of Amazon's tools."""

_CONNECT_TIMEOUT = 10.0
# The last guard only: deadlines are kept by `retry`. A Complete of 10,000 parts may take minutes.
_READ_TIMEOUT = 600.0
# At DEBUG these write signed headers and session tokens.
_TALKATIVE = ("aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore", "urllib3")


class Credentials(NamedTuple):
    """What a request is signed with, at this moment. Never shown: its repr is as plain as any object's."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        return "Credentials(…)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests for one bucket go, as the SDK resolved it.

    `url` is what ``/KEY`` is appended to: with the bucket in its host name (virtual) or as its path. `ca_bundle` is the PEM
    file that certificates are checked against; None is certifi's. `proxied` tells whether a proxy stands between.
    """

    bucket: str
    url: str
    region: str
    virtual: bool
    ca_bundle: str | None
    proxied: bool


@dataclass(slots=True)
class Session:
    """An open client with what it was made of. Made by `open_session`."""

    client: "S3Client"
    endpoint: Endpoint
    _session: "AioSession" = field(repr=False)
    _signed: bool = True

    async def credentials(self) -> Credentials | None:
        """The credentials as of now, refreshed where they expire; None where requests are not signed.

        Raises:
            CredentialsError: There are none, or they can't be refreshed.
        """
        from asyncmirror.store import sdk_errors  # noqa: PLC0415  imports botocore, which is loaded by now

        if not self._signed:
            return None
        try:
            found = await self._session.get_credentials()
            frozen = await found.get_frozen_credentials() if found else None
        except sdk_errors.FOREIGN as error:
            raise sdk_errors.translate(error, "credentials", self.endpoint.bucket) from error
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise CredentialsError("no credentials found", op="credentials", hint=sdk_errors.NO_CREDENTIALS)
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)


@asynccontextmanager
async def open_session(
    bucket: str, connection: Connection, max_connections: int, bandwidth: Meter | None = None
) -> AsyncIterator[Session]:
    """Find configuration, region and endpoint as aws-cli does, and open a client for them. Sends no request to the store.

    Args:
        bucket: Whose URL is resolved.
        connection: What the user gave; what is None is looked for in the environment and the AWS config files.
        max_connections: How many connections the client may hold.
        bandwidth: How fast bodies may leave.

    Raises:
        CredentialsError: The profile does not exist, or the configuration can't be read.
        BucketError: There is no such region.
        UntrustedError: The CA bundle can't be read.
    """
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    await asyncio.to_thread(_load)
    import aioboto3  # noqa: PLC0415  see the module's docstring
    from aiobotocore.session import get_session  # noqa: PLC0415  the same
    from botocore import UNSIGNED  # noqa: PLC0415  the same

    from asyncmirror.store import sdk_errors, sdk_http  # noqa: PLC0415  the same

    style = connection.addressing_style
    async with AsyncExitStack() as stack:
        try:
            core = get_session()
            core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_read_time)
            made = partial(sdk_http.HttpSession, bandwidth=bandwidth)
            # Clients that fetch credentials (STS, SSO) are made by the SDK itself: they get the session's own configuration.
            core.set_default_client_config(sdk_http.SessionConfig(http_session_cls=made))
            session = aioboto3.Session(botocore_session=core, profile_name=connection.profile)
            core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
            ca_bundle = find_ca_bundle(connection.ca_bundle or core.get_config_variable("ca_bundle"))
            client = await stack.enter_async_context(
                session.client(
                    "s3",
                    # AWS_REGION is what all other SDKs and the services themselves set; botocore reads it not.
                    region_name=connection.region or os.environ.get("AWS_REGION") or session.region_name or DEFAULT_REGION,
                    endpoint_url=connection.endpoint_url,
                    verify=ca_bundle,
                    config=sdk_http.SessionConfig(
                        http_session_cls=made,
                        signature_version="s3v4" if connection.sign_request else UNSIGNED,
                        retries={"total_max_attempts": 1, "mode": "standard"},
                        request_checksum_calculation="when_required",
                        response_checksum_validation="when_required",
                        connect_timeout=_CONNECT_TIMEOUT,
                        read_timeout=_READ_TIMEOUT,
                        max_pool_connections=max_connections,
                        # botocore would refuse a memoryview; what is sent here is typed.
                        parameter_validation=False,
                        # "auto" leaves the word to the AWS config file.
                        s3=None if style == "auto" else {"addressing_style": style},
                    ),
                )
            )
            await _check_region(client, core)
            client.meta.events.register("before-call.s3", _keep_to_region)
            client.meta.events.register_last("before-call.s3.DeleteObjects", _add_md5)
            endpoint = await _resolve(client, bucket, ca_bundle)
        except sdk_errors.FOREIGN as error:
            raise sdk_errors.misconfigured(error, bucket) from error
        yield Session(client, endpoint, core, connection.sign_request)


def _load() -> None:
    """Import the SDK where it holds nobody up."""
    from asyncmirror.store import sdk_errors, sdk_http  # noqa: F401, PLC0415  see the module's docstring


@cache
def _loader(data_path: str | None) -> "Loader":
    """Who reads the SDK's descriptions of the services, and keeps them: one for all sessions of the process.

    They are megabytes of JSON. A process that runs again and again (a watch, a queue of batches) opens a session for each run,
    and to read them anew was three quarters of what that took.
    """
    from botocore.loaders import create_loader  # noqa: PLC0415  see the module's docstring

    return create_loader(data_path)


def _read_time(value: object) -> datetime:
    """A time in an answer, UTC where it says nothing else. The SDK's way takes 57 µs, and a listing has one for each object."""
    from botocore.utils import parse_timestamp  # noqa: PLC0415  see the module's docstring

    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        found = parse_timestamp(value)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def find_ca_bundle(configured: Path | str | None) -> str | None:
    """The PEM file that was asked for, the environment's for all programs last; None where none was."""
    path = str(configured or os.environ.get("REQUESTS_CA_BUNDLE") or "")
    if path and not Path(path).is_file():
        raise UntrustedError(f"the CA bundle {path} is no file", op="configure", hint="check --ca-bundle and AWS_CA_BUNDLE")
    return path or None


def _keep_to_region(params: dict[str, dict[str, dict[str, bool]]], **_: object) -> None:
    """Mark a request as redirected already: the SDK would otherwise send it again, to another region than was asked."""
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def _add_md5(params: dict[str, Any], **_: object) -> None:
    """Give DeleteObjects the Content-MD5 that its documentation demands; the SDK sends a CRC32, which not every store knows."""
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode("ascii")


async def _check_region(client: "S3Client", session: "AioSession") -> None:
    """Refuse a region that AWS does not have: its name would not resolve, and that says less."""
    region = client.meta.region_name
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    if ".amazonaws." not in host:
        return
    known = [name for part in session.get_available_partitions() for name in await session.get_available_regions("s3", part)]
    if region in known:
        return
    close = difflib.get_close_matches(region, known, n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    raise BucketError(
        f"there is no region {region!r}",
        op="configure",
        hint=f"{guess}give it with --region; for a store that is not Amazon's, give --endpoint-url too",
    )


async def _resolve(client: "S3Client", bucket: str, ca_bundle: str | None) -> Endpoint:
    """Ask the SDK where it would send a request for this bucket. A presigned URL would tell too, but another host's."""
    from botocore.utils import get_environ_proxies  # noqa: PLC0415  see the module's docstring

    operation = client.meta.service_model.operation_model("HeadBucket")
    context = {"client_config": client.meta.config, "client_region": client.meta.region_name}
    resolve = client._resolve_endpoint_ruleset  # noqa: SLF001  nothing public tells
    url = str((await resolve(operation, {"Bucket": bucket}, context))[0]).rstrip("/")
    scheme, host = urlsplit(url)[:2]
    virtual = host != urlsplit(client.meta.endpoint_url).netloc and host.startswith(bucket + ".")
    return Endpoint(
        bucket=bucket,
        url=url,
        region=client.meta.region_name,
        virtual=virtual,
        ca_bundle=ca_bundle,
        proxied=scheme in get_environ_proxies(url),
    )
