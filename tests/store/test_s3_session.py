"""As whom and where: configuration found, refused, and kept out of sight."""

import asyncio
import logging
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from botocore.loaders import JSONFileLoader

from asyncmirror import checksum as checksums
from asyncmirror.errors import BucketError, CredentialsError, UnreachableError, UntrustedError
from asyncmirror.model import Algorithm, Properties
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store.s3 import S3Store
from asyncmirror.store.session import Credentials, Endpoint, open_session
from tests.store.canned import http, serving

STORED = http("200 OK", b"", 'ETag: "etag"')
TOKEN = "a-planted-session-token"


def store(connection: Connection) -> S3Store:
    return S3Store("bucket", connection, ObjectOptions(), 4)


async def put(opened: S3Store) -> None:
    await opened.put_object("key", b"x", checksums.compute(Algorithm.CRC32C, b"x"), Properties("a/b", {}))


async def endpoint(connection: Connection, bucket: str = "bucket") -> Endpoint:
    async with open_session(bucket, connection, 4) as session:
        return session.endpoint


async def test_amazons_own(chain: pytest.MonkeyPatch) -> None:
    chain.setenv("AWS_REGION", "us-west-2")
    expected = Endpoint("bucket", "https://bucket.s3.us-west-2.amazonaws.com", "us-west-2", True, None, False)  # noqa: FBT003  fields
    assert await endpoint(Connection()) == expected
    path = await endpoint(Connection(addressing_style="path"))
    assert (path.url, path.virtual) == ("https://s3.us-west-2.amazonaws.com/bucket", False)
    assert (await endpoint(Connection(region="eu-west-1"))).region == "eu-west-1"


async def test_a_store_of_ones_own(chain: pytest.MonkeyPatch) -> None:
    found = await endpoint(Connection(endpoint_url="http://127.0.0.1:9000/"))
    assert (found.url, found.region, found.virtual) == ("http://127.0.0.1:9000/bucket", "us-east-1", False)
    virtual = await endpoint(Connection(endpoint_url="http://s3.example:9000", addressing_style="virtual"))
    assert (virtual.url, virtual.virtual) == ("http://bucket.s3.example:9000", True)
    chain.setenv("AWS_ENDPOINT_URL", "http://general.example")
    assert (await endpoint(Connection())).url == "http://general.example/bucket"
    chain.setenv("AWS_ENDPOINT_URL_S3", "http://special.example")
    assert (await endpoint(Connection())).url == "http://special.example/bucket"


async def test_a_second_session_reads_nothing_of_the_sdks_data_again(chain: pytest.MonkeyPatch) -> None:
    connection = Connection(endpoint_url="http://localhost:9000")
    first = await endpoint(connection)

    def load_file(_: JSONFileLoader, path: str) -> NoReturn:
        pytest.fail(f"{path} is read again")

    chain.setattr(JSONFileLoader, "load_file", load_file)
    assert await endpoint(connection) == first


async def test_proxies_are_told(chain: pytest.MonkeyPatch) -> None:
    chain.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    assert (await endpoint(Connection())).proxied
    assert not (await endpoint(Connection(endpoint_url="http://s3.example"))).proxied
    chain.setenv("NO_PROXY", ".amazonaws.com")
    assert not (await endpoint(Connection())).proxied


async def test_a_profile_is_read(chain: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile desi]\naws_access_key_id = profilekey\naws_secret_access_key = profilesecret\nregion = eu-north-1\n"
        "s3 =\n    addressing_style = path\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        chain.delenv(name)
    chain.setenv("AWS_CONFIG_FILE", str(config))
    async with store(Connection(profile="desi")) as opened:
        assert await (await opened.session()).credentials() == Credentials("profilekey", "profilesecret", None)
        assert (await opened.session()).endpoint.region == "eu-north-1"
        assert not (await opened.session()).endpoint.virtual
    with pytest.raises(CredentialsError, match="--profile"):
        await endpoint(Connection(profile="desy"))


@pytest.mark.parametrize(("asked", "meant"), [("uswest-2", "us-west-2"), ("eu-central1", "eu-central-1")])
async def test_a_region_that_is_none(chain: pytest.MonkeyPatch, asked: str, meant: str) -> None:
    with pytest.raises(BucketError, match=f"did you mean {meant}"):
        await endpoint(Connection(region=asked))
    chain.setenv("AWS_DEFAULT_REGION", asked)
    with pytest.raises(BucketError, match="--region"):
        await endpoint(Connection())
    assert (await endpoint(Connection(endpoint_url="http://127.0.0.1:9000"))).region == asked


@pytest.mark.usefixtures("chain")
async def test_a_region_that_cannot_be() -> None:
    with pytest.raises(BucketError):
        await endpoint(Connection(region="us west/2"))


@pytest.mark.parametrize(("lacking", "hint"), [(2, "--no-sign-request"), (1, "both")])
async def test_credentials_that_lack_are_told(chain: pytest.MonkeyPatch, lacking: int, hint: str) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")[:lacking]:
        chain.delenv(name)
    with pytest.raises(CredentialsError, match=hint):
        async with store(Connection(endpoint_url="http://127.0.0.1:1")) as opened:
            await opened.check_bucket("")


async def test_requests_need_no_credentials_if_they_are_not_signed(chain: pytest.MonkeyPatch) -> None:
    chain.delenv("AWS_ACCESS_KEY_ID")
    chain.delenv("AWS_SECRET_ACCESS_KEY")
    async with (
        serving(lambda _, __: STORED) as server,
        store(Connection(endpoint_url=server.url, sign_request=False)) as opened,
    ):
        assert await (await opened.session()).credentials() is None
        await put(opened)
    assert "authorization" not in server.heard[0].headers


@pytest.mark.usefixtures("chain")
async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with store(Connection(endpoint_url=url)) as opened:
            with pytest.raises(UnreachableError, match=r"Connection refused.*--endpoint-url"):
                await opened.check_bucket("")


@pytest.mark.usefixtures("chain")
async def test_a_name_that_does_not_resolve() -> None:
    async with store(Connection(endpoint_url="http://no-such-host.invalid")) as opened:
        with pytest.raises(UnreachableError, match=r"no-such-host\.invalid does not resolve"):
            await opened.check_bucket("")


@pytest.mark.usefixtures("chain")
async def test_no_tls_where_tls_is_asked_for() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(http("400 Bad Request"))
        writer.close()

    listening = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with (
        listening,
        store(Connection(endpoint_url=f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")) as opened,
    ):
        with pytest.raises(UnreachableError, match="https"):
            await opened.check_bucket("")


async def test_a_proxy_that_is_not_there(chain: pytest.MonkeyPatch) -> None:
    chain.setenv("HTTP_PROXY", "http://someone:planted-password@127.0.0.1:1")
    async with store(Connection(endpoint_url="http://s3.invalid")) as opened:
        with pytest.raises(UnreachableError, match="HTTPS_PROXY") as caught:
            await opened.check_bucket("")
    assert "planted-password" not in str(caught.value)


async def test_a_ca_bundle_that_is_none(chain: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UntrustedError, match="--ca-bundle"):
        await endpoint(Connection(ca_bundle=tmp_path / "missing.pem"))
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    chain.setenv("AWS_CA_BUNDLE", str(empty))
    async with store(Connection(endpoint_url="https://127.0.0.1:1")) as opened:
        with pytest.raises(UntrustedError, match=r"empty\.pem"):
            await opened.check_bucket("")


async def test_secrets_are_in_no_log_and_no_repr(chain: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    chain.setenv("AWS_SESSION_TOKEN", TOKEN)
    with caplog.at_level(logging.DEBUG):
        async with serving(lambda _, __: STORED) as server, store(Connection(endpoint_url=server.url)) as opened:
            await put(opened)
            credentials = await (await opened.session()).credentials()
            shown = repr((credentials, opened, (await opened.session()).endpoint, vars(opened)))
    assert credentials == Credentials("testkey", "testsecret", TOKEN)
    assert server.heard[0].headers["x-amz-security-token"] == TOKEN
    assert TOKEN not in caplog.text + shown
    assert "testsecret" not in caplog.text + shown


def test_importing_the_adapter_imports_no_sdk() -> None:
    program = (
        "import sys, asyncmirror.store.s3, asyncmirror.store.retry, asyncmirror.store.limit\n"
        "print([name for name in ('aioboto3', 'botocore', 'boto3', 'aiobotocore', 'aiohttp') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert said.stdout.strip() == "[]"
