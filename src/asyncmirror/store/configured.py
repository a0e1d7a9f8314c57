"""Which endpoint the user configured, found without the SDK.

Owns the SDK's order of precedence (AWS SDKs and Tools Reference Guide, "Service-specific endpoints"), because the journal's
name needs the endpoint before the SDK is loaded, which takes most of a second. Knows no credentials.
"""

import configparser
import os
from pathlib import Path

from asyncmirror.settings import Connection


def configured_endpoint(connection: Connection) -> str:
    """The endpoint URL that requests will go to, without a trailing slash; empty for Amazon's own."""
    return (connection.endpoint_url or _from_environment() or _from_profile(connection.profile)).rstrip("/")


def _ignored() -> bool:
    return os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"


def _from_environment() -> str:
    if _ignored():
        return ""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _from_profile(profile: str | None) -> str:
    name = profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"
    path = Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    config = configparser.RawConfigParser(strict=False, default_section="")
    try:
        config.read_string(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        return ""  # whatever is wrong with it, the SDK will say
    section = "default" if name == "default" else f"profile {name}"
    if (
        _ignored()
        or not config.has_section(section)
        or config.get(section, "ignore_configured_endpoint_urls", fallback="") == "true"
    ):
        return ""
    services = f"services {config.get(section, 'services', fallback='')}"
    nested = config.get(services, "s3", fallback="") if config.has_section(services) else ""
    for line in nested.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "endpoint_url":
            return value.strip()
    return config.get(section, "endpoint_url", fallback="")
