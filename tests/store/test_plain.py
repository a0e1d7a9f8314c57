"""Held against the SDK itself: what is found without it is what it would have found, and what it objects to is left to it."""

from pathlib import Path

import pytest

from asyncmirror.errors import UntrustedError
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store.configured import plain
from asyncmirror.store.session import open_session
from asyncmirror.store.wire.store import WireStore
from asyncmirror.testing.config import ServerConfig
from asyncmirror.testing.server import S3Server
from asyncmirror.testing.signature import Credentials

CONFIG = """
[default]
region = eu-south-1
output = json
[profile desi]
region = us-west-2
endpoint_url = https://desi.example:9000
aws_access_key_id = configkey
aws_secret_access_key = configsecret
[profile shared]
endpoint_url = http://shared.example
aws_access_key_id = configkey
aws_secret_access_key = configsecret
[profile role]
role_arn = arn:aws:iam::123456789012:role/writer
source_profile = desi
[profile process]
credential_process = /bin/false
[profile tuned]
endpoint_url = http://tuned.example
s3 =
    addressing_style = virtual
[profile quick]
endpoint_url = http://quick.example
s3 =
    max_concurrent_requests = 64
    max_queue_size = 10000
[profile half]
aws_access_key_id = configkey
"""
CREDENTIALS = """
[shared]
aws_access_key_id = sharedkey
aws_secret_access_key = sharedsecret
aws_session_token = sharedtoken
[only]
aws_access_key_id = onlykey
aws_secret_access_key = onlysecret
"""
OWN = "http://127.0.0.1:9000"


@pytest.fixture
def files(chain: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(CONFIG)
    (tmp_path / ".aws/credentials").write_text(CREDENTIALS)
    return chain


@pytest.mark.parametrize(
    ("environment", "connection"),
    [
        ({}, Connection(endpoint_url=OWN)),
        ({}, Connection(endpoint_url=OWN + "/")),
        ({}, Connection(endpoint_url="https://s3.example", region="us-gov-west-1", addressing_style="path")),
        ({"AWS_SESSION_TOKEN": "token"}, Connection(endpoint_url=OWN)),
        ({"AWS_SESSION_TOKEN": ""}, Connection(endpoint_url=OWN)),
        ({"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-west-3"}, Connection(endpoint_url=OWN)),
        ({"AWS_DEFAULT_REGION": "eu-west-3"}, Connection(endpoint_url=OWN)),
        ({"AWS_ENDPOINT_URL": "http://a.example", "AWS_ENDPOINT_URL_S3": "http://b.example"}, Connection()),
        ({}, Connection(profile="desi")),
        ({}, Connection(profile="shared")),
        ({"AWS_PROFILE": "quick"}, Connection()),
        ({"AWS_PROFILE": "desi"}, Connection()),
        ({"AWS_PROFILE": "desi", "AWS_DEFAULT_PROFILE": "shared"}, Connection()),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, Connection(profile="desi")),
        ({"NO_PROXY": "*"}, Connection(endpoint_url=OWN)),
        ({"AWS_MAX_ATTEMPTS": "3", "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}, Connection(endpoint_url=OWN)),
        ({}, Connection(endpoint_url=OWN, profile="only")),
        ({}, Connection(endpoint_url=OWN, sign_request=False)),
        ({}, Connection(endpoint_url="http://[::1]:9000")),
    ],
)
async def test_it_is_what_the_sdk_finds(files: pytest.MonkeyPatch, environment: dict[str, str], connection: Connection) -> None:
    for name, value in environment.items():
        files.setenv(name, value)
    found = plain("bucket", connection)
    async with open_session("bucket", connection, 4) as session:
        assert found == (session.endpoint, await session.credentials())


@pytest.mark.parametrize(
    ("environment", "bucket", "connection"),
    [
        ({}, "bucket", Connection()),
        ({}, "bucket", Connection(endpoint_url="https://s3.us-west-2.amazonaws.com")),
        ({}, "bucket", Connection(endpoint_url=OWN, addressing_style="virtual")),
        ({}, "bucket", Connection(endpoint_url=OWN + "/below")),
        ({}, "bucket", Connection(endpoint_url=OWN, region="us west/2")),
        ({}, "bucket", Connection(endpoint_url=OWN, profile="none")),
        ({}, "bucket", Connection(endpoint_url=OWN, profile="role")),
        ({}, "bucket", Connection(endpoint_url=OWN, profile="process")),
        ({}, "bucket", Connection(endpoint_url=OWN, profile="half")),
        ({}, "bucket", Connection(profile="tuned")),
        ({}, "tenant:bucket", Connection(endpoint_url=OWN)),
        ({}, "bucket--usw2-az1--x-s3", Connection(endpoint_url=OWN)),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "bucket", Connection(endpoint_url=OWN)),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "bucket", Connection(endpoint_url=OWN)),
        ({"https_proxy": "http://127.0.0.1:3128"}, "bucket", Connection(endpoint_url=OWN)),
        ({"ALL_PROXY": "http://127.0.0.1:3128"}, "bucket", Connection(endpoint_url=OWN)),
        ({"AWS_CONFIG_FILE": "/dev/full/none"}, "bucket", Connection(endpoint_url=OWN)),
    ],
)
def test_what_is_not_plain_is_left_to_the_sdk(
    files: pytest.MonkeyPatch, environment: dict[str, str], bucket: str, connection: Connection
) -> None:
    for name, value in environment.items():
        files.setenv(name, value)
    assert plain(bucket, connection) is None


def test_a_configuration_that_is_none_is_left_to_the_sdk(files: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert plain("bucket", Connection(endpoint_url=OWN)) is not None
    (tmp_path / ".aws/credentials").write_text("[default\n")
    assert plain("bucket", Connection(endpoint_url=OWN)) is None
    files.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    (tmp_path / ".aws/credentials").write_text("")
    with pytest.raises(UntrustedError, match=r"none\.pem"):
        plain("bucket", Connection(endpoint_url=OWN))


async def test_new_keys_in_the_file_are_taken_up(files: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        files.delenv(name)
    path = tmp_path / ".aws/credentials"
    path.write_text("[default]\naws_access_key_id = testkey\naws_secret_access_key = testsecret\naws_session_token = old\n")
    config = ServerConfig(buckets=("box",), credentials=(Credentials(session_token="old"),))
    async with (
        S3Server(config) as server,
        WireStore("box", Connection(endpoint_url=server.url, region="us-east-1"), ObjectOptions(), 4) as store,
    ):
        await store.check_bucket("")
        server.renew(Credentials(session_token="new"))
        path.write_text(path.read_text().replace("old", "new"))
        await store.check_bucket("")
        assert [request.status for request in server.requests] == [200, 400, 200]
