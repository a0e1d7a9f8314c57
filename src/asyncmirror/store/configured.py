"""What the user configured, found without the SDK: the endpoint, and where all is said plainly, region and keys too.

Owns the SDK's order of precedence (AWS SDKs and Tools Reference Guide) for what needs no more than the environment and two
files. The journal's name needs the endpoint before anything is opened, and loading the SDK takes longer than the whole of a
small run. Whatever is not plain, roles, sign-on, proxies, Amazon's own endpoints, a variable or a line that this room does not
know, it leaves to the SDK (`session`): it never guesses.
"""

import configparser
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from asyncmirror.settings import Connection
from asyncmirror.store.session import DEFAULT_REGION, Credentials, Endpoint, find_ca_bundle
from asyncmirror.store_url import parse_store_url

_KEYS = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})
# Lines of a profile that change nothing for us, or that are looked at here.
_KNOWN_LINES = _KEYS | {"region", "output", "endpoint_url", "services", "ca_bundle", "cli_pager", "s3"}
# Below "s3" of a profile: how aws-cli itself transfers (AWS CLI S3 Configuration).
_AWS_CLI = frozenset(
    {
        "max_concurrent_requests",
        "max_queue_size",
        "multipart_threshold",
        "multipart_chunksize",
        "max_bandwidth",
        "preferred_transfer_client",
    }
)
_KNOWN_VARIABLES = frozenset(
    {
        *(name.upper() for name in _KEYS),
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_CA_BUNDLE",
        "AWS_DEFAULT_OUTPUT",
        "AWS_PAGER",
        "AWS_EC2_METADATA_DISABLED",
        # What `session` sets itself, whatever these say.
        "AWS_MAX_ATTEMPTS",
        "AWS_RETRY_MODE",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
    }
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_PLAIN_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # "Bucket naming rules": no access point, no tenant
_PLAIN_REGION = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # a host label (RFC 1123), as the SDK asks for
_EXPRESS = "--x-s3"  # directory buckets sign with keys of a session of their own


class Plain(NamedTuple):
    """Where requests go and as whom; `credentials` are None where requests are not signed."""

    endpoint: Endpoint
    credentials: Credentials | None


def configured_endpoint(connection: Connection) -> str:
    """The endpoint URL that requests will go to, without a trailing slash; empty for Amazon's own.

    Raises:
        UsageError: It is no URL of a store, or holds a login, which would then stand in the journal.
    """
    url = connection.endpoint_url or _from_environment() or _from_profile(connection.profile)
    return parse_store_url(url).rstrip("/") if url else ""


def plain(bucket: str, connection: Connection) -> Plain | None:
    """What the SDK would find, if that takes no more than reading; None if only the SDK can tell, or has something to object.

    Raises:
        UsageError: The endpoint is no URL of a store.
        UntrustedError: The CA bundle can't be read.
    """
    url = _plain_url(connection)
    if url is None or not _PLAIN_BUCKET.fullmatch(bucket) or bucket.endswith(_EXPRESS) or _is_unknown_territory():
        return None
    name = _profile_name(connection.profile)
    config = _read("AWS_CONFIG_FILE", "~/.aws/config")
    secrets = _read("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    if config is None or secrets is None:
        return None
    lines, keys = _section(config, _config_section(name)), _section(secrets, name)
    known = lines.keys() <= _KNOWN_LINES and _nested(lines.get("s3", "")).keys() <= _AWS_CLI and keys.keys() <= _KEYS
    if not known or (name != "default" and not (lines or keys)):
        return None
    region = (
        connection.region
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or lines.get("region")
        or DEFAULT_REGION
    )
    credentials = None
    if connection.sign_request:
        credentials = _credentials(connection, keys, lines)
        if credentials is None:
            return None
    if not _PLAIN_REGION.fullmatch(region):
        return None
    ca_bundle = find_ca_bundle(connection.ca_bundle or os.environ.get("AWS_CA_BUNDLE") or lines.get("ca_bundle"))
    # A custom endpoint is addressed by path unless virtual hosts are asked for (botocore, args.py: force_path_style).
    return Plain(Endpoint(bucket, f"{url}/{bucket}", region, virtual=False, ca_bundle=ca_bundle, proxied=False), credentials)


def _plain_url(connection: Connection) -> str | None:
    if connection.addressing_style == "virtual":
        return None
    url = configured_endpoint(connection)
    parts = urlsplit(url)
    return url if url and parts.path == "" and ".amazonaws." not in (parts.hostname or "") else None


def _is_unknown_territory() -> bool:
    """Whether the environment holds a variable that might change what the SDK does."""
    names = {name for name, value in os.environ.items() if value}
    return any(name.startswith("AWS_") and name not in _KNOWN_VARIABLES for name in os.environ) or any(
        name in names or name.upper() in names for name in _PROXIES
    )


def _credentials(connection: Connection, keys: Mapping[str, str], lines: Mapping[str, str]) -> Credentials | None:
    """The first link of the chain that has keys: the environment, unless a profile was asked for; then the two files."""
    environment = {} if connection.profile else {name: os.environ[name.upper()] for name in _KEYS if name.upper() in os.environ}
    for link in (environment, keys, lines):
        if not _KEYS.isdisjoint(link):
            access, secret = link.get("aws_access_key_id"), link.get("aws_secret_access_key")
            return Credentials(access, secret, link.get("aws_session_token") or None) if access and secret else None
    return None


def _ignored() -> bool:
    return os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"


def _from_environment() -> str:
    if _ignored():
        return ""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _profile_name(asked: str | None) -> str:
    return asked or os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE") or "default"


def _config_section(name: str) -> str:
    return "default" if name == "default" else f"profile {name}"


def _read(variable: str, usual: str) -> configparser.RawConfigParser | None:
    """One of the two files; empty if there is none, None if it can't be read: whatever is wrong with it, the SDK will say."""
    parsed = configparser.RawConfigParser(strict=False, default_section="")
    try:
        parsed.read_string(Path(os.environ.get(variable) or usual).expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return parsed
    except (OSError, ValueError, RuntimeError, configparser.Error):
        return None
    return parsed


def _section(config: configparser.RawConfigParser, name: str) -> dict[str, str]:
    return dict(config.items(name)) if config.has_section(name) else {}


def _from_profile(profile: str | None) -> str:
    config = _read("AWS_CONFIG_FILE", "~/.aws/config")
    if config is None or _ignored():
        return ""
    lines = _section(config, _config_section(_profile_name(profile)))
    if lines.get("ignore_configured_endpoint_urls") == "true":
        return ""
    services = _section(config, f"services {lines.get('services', '')}")
    return _nested(services.get("s3", "")).get("endpoint_url") or lines.get("endpoint_url", "")


def _nested(text: str) -> dict[str, str]:
    """The indented lines below one that has no value of its own."""
    found = (line.partition("=") for line in text.splitlines() if line.strip())
    return {name.strip(): value.strip() for name, _, value in found}
