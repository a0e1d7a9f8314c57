import logging

import pytest

from asyncmirror.cli.logs import Redactor, configure

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEBYaDHqa0AP1"
ENVIRON = {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
FOREIGN = ("aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore", "s3transfer", "urllib3")


@pytest.mark.parametrize(
    "text",
    [
        f"key {SECRET} and {TOKEN}",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250101/x, SignedHeaders=host, Signature=deadbeef",
        "{'Authorization': 'AWS4-HMAC-SHA256 Signature=deadbeef', 'Host': 'h'}",
        "('authorization', b'deadbeef')",
        '{"X-Amz-Security-Token": "deadbeef"}',
        "x-amz-security-token: deadbeef",
        "GET /k?X-Amz-Signature=deadbeef&X-Amz-Security-Token=deadbeef",
        "Proxy-Authorization: Basic deadbeef",
        "aws_secret_access_key = deadbeef",
    ],
)
def test_no_credential_is_left(text: str) -> None:
    redacted = Redactor(ENVIRON)(text)
    assert not any(secret in redacted for secret in (SECRET, TOKEN, "deadbeef"))
    assert "[hidden]" in redacted


@pytest.mark.parametrize(
    "text",
    ["http://me:pa%40ss%20word@proxy:3128 is down", "the password pa@ss word", "https://you:x@host/", "pa%40ss%20word"],
)
def test_no_login_of_a_url_is_left(text: str) -> None:
    redacted = Redactor({"HTTPS_PROXY": "http://me:pa%40ss%20word@proxy:3128", "no_proxy": "a@b"})(text)
    assert not any(secret in redacted for secret in ("pa%40ss", "pa@ss", "you:x"))
    assert "[hidden]" in redacted


def test_what_is_no_credential_stays() -> None:
    for text in ("PutObject: dr1/a.fits: 403 (check --profile)", "set AWS_SESSION_TOKEN, or give --profile"):
        assert Redactor({"AWS_SECRET_ACCESS_KEY": ""})(text) == text
    assert Redactor(ENVIRON)("{'Authorization': 'x', 'Host': 'h'}").endswith("'Host': 'h'}")


def test_a_short_path_of_a_hook_is_hidden_with_its_host_only() -> None:
    redact = Redactor({}, ["http://127.0.0.1:9/notify", "http://me:hunter22@127.0.0.1:9"])
    assert redact("asyncmirror.cli.notify: r") == "asyncmirror.cli.notify: r"
    assert redact("POST http://127.0.0.1:9/notify, hunter22") == "POST http://[hidden], [hidden]"


def test_no_credential_passes_the_log_at_any_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug", Redactor(ENVIRON))
    log = logging.getLogger("asyncmirror.test")
    log.debug("sent %s", {"Authorization": f"Signature={SECRET}"})
    try:
        int(TOKEN)
    except ValueError:
        log.exception("failed with %s", SECRET)
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert SECRET not in said
    assert TOKEN not in said


def test_a_logged_name_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", Redactor({}))
    logging.getLogger("asyncmirror.test").info("read %s", "\x1b[2J\u202e\r")
    assert capsys.readouterr().err == "INFO asyncmirror.test: read \\x1b[2J\\u202e\\x0d\n"


@pytest.mark.parametrize("name", FOREIGN)
def test_the_sdk_and_the_client_never_log_below_warning(name: str) -> None:
    configure("debug", Redactor({}))
    assert not logging.getLogger(name + ".hooks").isEnabledFor(logging.INFO)
    assert logging.getLogger(name).isEnabledFor(logging.WARNING)
    configure("error", Redactor({}))
    assert not logging.getLogger(name).isEnabledFor(logging.WARNING)
