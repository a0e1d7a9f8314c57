"""Who the credentials belong to, and where they and the region come from.

Owns the AWS SDK's chain as `doctor` looks at it: the link that answered, never what it gave. Of an access key's id only the
ends are shown. Knows no bucket.
"""

import os
from collections.abc import Mapping
from dataclasses import replace

from asyncmirror.doctor.finding import Finding, ok, problem, warning
from asyncmirror.errors import StoreError
from asyncmirror.settings import Connection
from asyncmirror.store.configured import configured_endpoint
from asyncmirror.store.guarantees import is_amazon
from asyncmirror.store.session import DEFAULT_REGION

_LINKS = {
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "explicit": "the environment (AWS_ACCESS_KEY_ID)",
    "shared-credentials-file": "the credentials file",
    "config-file": "the config file",
    "assume-role": "a role that the profile assumes",
    "assume-role-with-web-identity": "a web identity token",
    "sso": "single sign-on",
    "login": "aws login",
    "custom-process": "the profile's credential_process",
    "container-role": "the container's role",
    "iam-role": "the instance's role",
    "boto-config": "the boto config file",
}
"""The SDK's names for the links of the chain."""
_SHOWN = 4
_TOPIC = "credentials"


async def examine(connection: Connection) -> list[Finding]:
    """Which credentials there are and who they belong to."""
    if not connection.sign_request:
        return [ok(_TOPIC, "none: requests are not signed (--no-sign-request)")]
    from aiobotocore.session import get_session  # noqa: PLC0415  takes long to import

    from asyncmirror.store import sdk_errors, sdk_http  # noqa: PLC0415  the same

    core = get_session()
    core.set_default_client_config(sdk_http.SessionConfig(http_session_cls=sdk_http.HttpSession))
    if connection.profile is not None:
        core.set_config_variable("profile", connection.profile)
    try:
        found = await core.get_credentials()
        frozen = await found.get_frozen_credentials() if found else None
    except sdk_errors.FOREIGN as error:
        raise sdk_errors.translate(error, "", "") from error
    if found is None or frozen is None or not frozen.access_key:
        return [problem(_TOPIC, "none found", sdk_errors.NO_CREDENTIALS, blind=True)]
    profile = core.get_config_variable("profile")
    link = _LINKS.get(found.method, found.method)
    told = f"{shorten(frozen.access_key)} from {link}" + (f", profile {profile}" if profile and found.method != "env" else "")
    if frozen.token:
        told += ", temporary" if hasattr(found, "refresh_needed") else ", temporary and not renewed when they expire"
    findings = [ok(_TOPIC, told)]
    endpoint = configured_endpoint(connection)
    if not endpoint or is_amazon(endpoint) or os.environ.get("AWS_ENDPOINT_URL_STS"):
        region = connection.region or os.environ.get("AWS_REGION") or DEFAULT_REGION
        try:
            async with core.create_client("sts", region_name=region) as client:
                findings.append(ok("identity", str((await client.get_caller_identity())["Arn"])))
        except sdk_errors.FOREIGN as error:
            fault = sdk_errors.translate(error, "GetCallerIdentity", "")
            findings.append(_refused(fault))
    return findings


def _refused(error: StoreError) -> Finding:
    if error.exit_code == 4 and error.status:  # noqa: PLR2004  the store's exit code: the credentials are refused
        return problem("identity", error.message, error.hint, blind=True)
    return warning("identity", f"it can't be asked: {error.message}", error.hint)


def shorten(access_key: str) -> str:
    """The ends of an access key's id: enough to tell which of one's keys it is."""
    if len(access_key) <= 3 * _SHOWN:
        return access_key[:_SHOWN] + "…"
    return f"{access_key[:_SHOWN]}…{access_key[-_SHOWN:]}"


def region_finding(connection: Connection, region: str, flags: Mapping[str, str]) -> Finding:
    """The region, and where it comes from. `flags` tells how each option was given."""
    named = next((name for name in ("AWS_REGION", "AWS_DEFAULT_REGION") if os.environ.get(name)), "")
    if connection.region:
        origin = f"given by {flags.get('region', '--region')}"
    elif named:
        origin = f"given by {named}"
    else:
        origin = "the default" if region == DEFAULT_REGION else "from the profile"
    return ok("region", f"{region}, {origin}")


def endpoint_finding(connection: Connection, url: str, flags: Mapping[str, str]) -> Finding:
    """The endpoint, and where it comes from."""
    configured = configured_endpoint(replace(connection, endpoint_url=None))
    named = (name for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if os.environ.get(name, "").rstrip("/") == configured)
    if connection.endpoint_url:
        origin = f"given by {flags.get('endpoint-url', '--endpoint-url')}"
    elif configured:
        name = next(named, "")
        origin = f"given by {name}" if name else "from the profile"
    else:
        origin = "Amazon's for that region"
    return ok("endpoint", f"{url}, {origin}")
