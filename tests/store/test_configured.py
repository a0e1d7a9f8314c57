"""Held against the SDK itself: the endpoint that is found without it must be the one that it uses."""

from pathlib import Path

import boto3
import pytest

from asyncmirror.errors import UsageError
from asyncmirror.settings import Connection
from asyncmirror.store.configured import configured_endpoint

NAMES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
CONFIG = """
[default]
region = us-west-2
endpoint_url = http://default.example
[profile plain]
endpoint_url = http://plain.example
[profile nested]
services = mine
endpoint_url = http://general.example
[services mine]
s3 =
  endpoint_url = http://nested.example
  max_attempts = 3
[profile other]
services = theirs
[services theirs]
dynamodb =
  endpoint_url = http://dynamo.example
[profile ignoring]
endpoint_url = http://ignored.example
ignore_configured_endpoint_urls = true
"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config"
    path.write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    return path


def of_the_sdk(profile: str | None = None) -> str:
    url: str = boto3.Session(profile_name=profile).client("s3", region_name="us-west-2").meta.endpoint_url
    return "" if ".amazonaws.com" in url else url


@pytest.mark.parametrize(
    ("environment", "profile", "endpoint"),
    [
        ({}, None, "http://default.example"),
        ({}, "plain", "http://plain.example"),
        ({}, "nested", "http://nested.example"),
        ({}, "other", ""),
        ({}, "ignoring", ""),
        ({"AWS_PROFILE": "plain"}, None, "http://plain.example"),
        ({"AWS_ENDPOINT_URL": "http://a.example"}, "plain", "http://a.example"),
        ({"AWS_ENDPOINT_URL": "http://a.example", "AWS_ENDPOINT_URL_S3": "http://s3.example"}, "nested", "http://s3.example"),
        ({"AWS_ENDPOINT_URL": "http://a.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "plain", ""),
    ],
)
def test_it_is_the_one_that_the_sdk_uses(
    environment: dict[str, str], profile: str | None, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert of_the_sdk(profile) == endpoint
    assert configured_endpoint(Connection(profile=profile)) == endpoint


def test_what_the_user_gave_comes_first_and_a_slash_at_its_end_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example")
    assert configured_endpoint(Connection(endpoint_url="http://given.example/")) == "http://given.example"


@pytest.mark.parametrize(
    "url", ["http://me:secret-word@host", "me:secret-word@host", "http://host?secret-word", "https://secret-word:x"]
)
@pytest.mark.parametrize("place", ["flag", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "profile"])
def test_what_is_no_url_of_a_store_is_refused_and_not_repeated(
    config: Path, url: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "profile":
        config.write_text(f"[default]\nendpoint_url = {url}\n", encoding="utf-8")
    elif place != "flag":
        monkeypatch.setenv(place, url)
    with pytest.raises(UsageError, match="endpoint") as caught:
        configured_endpoint(Connection(endpoint_url=url if place == "flag" else None))
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "no section = 1", "[default\n", "\xff"])
def test_a_configuration_that_is_none_has_no_endpoint(config: Path, text: str) -> None:
    config.write_bytes(text.encode("latin-1"))
    assert configured_endpoint(Connection()) == ""


def test_no_configuration_has_no_endpoint(config: Path) -> None:
    config.unlink()
    assert configured_endpoint(Connection()) == ""
