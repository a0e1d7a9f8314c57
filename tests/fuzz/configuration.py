"""AWS configuration files and variables: what the journal's name is made of, and what the SDK makes of them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from hypothesis import strategies as st

from asyncmirror.errors import AsyncmirrorError, StoreError
from asyncmirror.settings import Connection
from asyncmirror.store.configured import configured_endpoint, plain
from asyncmirror.store.session import open_session
from tests.fuzz.target import Target, looping, mutated

# Nothing here makes the SDK ask anybody for credentials: no role, no process, no sign-on.
_KEYS = st.sampled_from(
    [
        "region",
        "endpoint_url",
        "services",
        "s3",
        "s3api",
        "ca_bundle",
        "max_attempts",
        "retry_mode",
        "output",
        "addressing_style",
        "use_accelerate_endpoint",
        "use_dualstack_endpoint",
        "use_fips_endpoint",
        "sigv4a_signing_region_set",
        "signature_version",
        "payload_signing_enabled",
        "request_checksum_calculation",
        "response_checksum_validation",
        "defaults_mode",
        "parameter_validation",
        "cli_timestamp_format",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "tcp_keepalive",
        "request_min_compression_size_bytes",
        "disable_request_compression",
        "ignore_configured_endpoint_urls",
        "sts_regional_endpoints",
        "ec2_metadata_service_endpoint_mode",
        "metadata_service_timeout",
        "s3_use_arn_region",
        "s3_us_east_1_regional_endpoint",
        "s3_disable_multiregion_access_points",
        "account_id_endpoint_mode",
        "user_agent_appid",
        "use_arn_region",
    ]
)
_VALUES = st.sampled_from(
    ["", "true", "false", "mine", "us-west-2", "nowhere", "http://[", "http://127.0.0.1:1", "https://h/%zz?x", "0", "-1", "1e9",
     "x", "\n  addressing_style = path", "\n  addressing_style = odd", "\n  endpoint_url = http://n\n  x", "\n  =", "%(x)s",
     "\x1b[2J", "standard", "9" * 5000, "/dev/null", "../x", "a b", "virtual", "\xe9", "ftp://x", "s3v4", "s3v2", "v4"]
)  # fmt: skip
_SECTIONS = st.sampled_from(
    ["default", "profile default", "profile p", "p", "services mine", "profile 'a b'", "", "profile", "x]"]
)
_FILES = mutated(
    st.lists(
        st.builds(
            lambda name, pairs: "".join([f"[{name}]\n", *(f"{key} = {value}\n" for key, value in pairs)]).encode(),
            _SECTIONS,
            st.lists(st.tuples(_KEYS, _VALUES), max_size=4),
        ),
        max_size=3,
    ).map(b"".join),
    2,
).filter(lambda text: b"process" not in text)
_VARIABLES = st.sampled_from(
    [
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_CA_BUNDLE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_MAX_ATTEMPTS",
        "AWS_RETRY_MODE",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_DEFAULTS_MODE",
        "AWS_DATA_PATH",
        "REQUESTS_CA_BUNDLE",
        "NO_PROXY",
        "AWS_SDK_UA_APP_ID",
        "AWS_SIGV4A_SIGNING_REGION_SET",
        "AWS_STS_REGIONAL_ENDPOINTS",
        "AWS_METADATA_SERVICE_TIMEOUT",
        "AWS_S3_USE_ARN_REGION",
    ]
)
_TEXTS = _VALUES.map(lambda text: text.replace("\n", "")) | st.sampled_from(
    ["~nobody-of-this-name/x", "p", "\udcff", "/", "a..b"]
)


class Given(NamedTuple):
    """The two files, and the environment."""

    config: bytes
    credentials: bytes
    variables: dict[str, str]
    profile: str | None


@contextmanager
def _configuration(work: Path) -> Iterator[Callable[[Given], None]]:
    config, credentials = work / "config", work / "credentials"
    base = {
        "HOME": str(work),
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    async def opened(connection: Connection) -> None:
        found = None
        try:
            configured_endpoint(connection)
            found = plain("bucket", connection)
            async with open_session("bucket", connection, 4) as session:
                with suppress(StoreError):
                    credentials = await session.credentials()
                    assert found is None or credentials == found.credentials
                assert found is None or session.endpoint == found.endpoint
        except AsyncmirrorError as error:
            assert error.exit_code in (2, 4), error
            assert found is None, "what the SDK refuses was taken for plain"

    with looping() as run:

        def check(given: Given) -> None:
            config.write_bytes(given.config)
            credentials.write_bytes(given.credentials)
            connection = Connection(profile=given.profile)
            with patch.dict(os.environ, {**base, **given.variables}, clear=True):
                run(opened(connection))

        yield check


TARGETS: tuple[Target[Any], ...] = (
    Target(
        "configuration",
        st.builds(
            Given, _FILES, _FILES, st.dictionaries(_VARIABLES, _TEXTS, max_size=3), st.sampled_from([None, "p", "default"])
        ),
        _configuration,
        30,
    ),
)
