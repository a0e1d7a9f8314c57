"""Who may look, and where."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from multidict import CIMultiDict

from asyncmirror.errors import UsageError
from asyncmirror.http.access import Access, Verdict, find_token
from asyncmirror.http.address import Address, parse

TOKEN = "0123456789abcdef"
OTHER = "0123456789abcdeF"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8642", Address("127.0.0.1", 8642)),
        ("8642", Address("127.0.0.1", 8642)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:65535", Address("::1", 65535)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
    ],
)
def test_an_address(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    "text", ["", ":", ":80", "::1:80", "host", "host:", "host:65536", "host:-1", "[::1]80", "a b:1", "h:८"]
)
def test_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="ADDRESS:PORT"):
        parse(text)


def test_an_address_is_shown_as_it_is_read() -> None:
    assert [str(parse(text)) for text in ("[::1]:1", "h:2")] == ["[::1]:1", "h:2"]


@pytest.mark.parametrize(
    ("host", "verdict"),
    [
        ("127.0.0.1:8642", Verdict.ADMITTED),
        ("127.8.9.1", Verdict.ADMITTED),
        ("LOCALHOST:9999", Verdict.ADMITTED),
        ("[::1]:8642", Verdict.ADMITTED),
        ("evil.example:8642", Verdict.WRONG_HOST),
        ("localhost.evil.example", Verdict.WRONG_HOST),
        ("127.0.0.1.evil.example", Verdict.WRONG_HOST),
        ("192.168.0.1:8642", Verdict.WRONG_HOST),
        ("", Verdict.WRONG_HOST),
    ],
)
def test_without_a_token_only_this_machines_names_are_answered(host: str, verdict: Verdict) -> None:
    assert Access(None, 8642).judge(CIMultiDict(host=host)) is verdict


def test_with_a_token_it_must_be_shown() -> None:
    access = Access(TOKEN, 8642)
    cookie = f"asyncmirror-8642={access.cookie}"

    def verdict(**headers: str) -> Verdict:
        return access.judge(CIMultiDict(headers, host="any.example"))

    assert verdict() is Verdict.NO_TOKEN
    assert verdict(authorization=f"Bearer {TOKEN}") is Verdict.ADMITTED
    assert verdict(authorization=f"bearer {TOKEN} ") is Verdict.ADMITTED
    assert verdict(authorization=f"Bearer {OTHER}") is Verdict.NO_TOKEN
    assert verdict(authorization=f"Basic {TOKEN}") is Verdict.NO_TOKEN
    assert verdict(authorization="Bearer \udcff") is Verdict.NO_TOKEN
    assert verdict(cookie=f"other=1; {cookie}") is Verdict.ADMITTED
    assert verdict(cookie=f"asyncmirror-8642={TOKEN}") is Verdict.NO_TOKEN
    assert verdict(cookie=f"asyncmirror-8643={access.cookie}") is Verdict.NO_TOKEN
    assert verdict(cookie="asyncmirror-8642=; \x00=") is Verdict.NO_TOKEN
    assert not Access(None, 1).accepts("")
    assert TOKEN not in access.cookie
    assert Access(TOKEN, 8642).cookie == access.cookie  # pages go on after a restart
    assert Access(OTHER, 8642).cookie != access.cookie


def test_the_token_is_the_files_or_the_variables(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    environ = {"ASYNCMIRROR_HTTP_TOKEN": OTHER}
    assert find_token({}, None) is None
    assert find_token(environ, None) == OTHER
    assert find_token(environ, file) == TOKEN


def private(data: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(data)
        path.chmod(0o600)

    return make


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "No such file"),
        (lambda path: (private(TOKEN.encode())(path), path.chmod(0o640)), "chmod 600"),
        (lambda path: os.mkfifo(path, 0o600), "must be private"),
        (private(b"short"), "16 to 1024"),
        (private(b"a" * 2000), "16 to 1024"),
        (private(b"\xff" * 20), "16 to 1024"),
    ],
)
def test_a_file_that_is_no_token(make: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    make(path)
    with pytest.raises(UsageError, match=says):
        find_token({}, path)


def test_a_bad_token_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        find_token({"ASYNCMIRROR_HTTP_TOKEN": "a secret word"}, None)
    assert "secret word" not in str(caught.value)
    assert "ASYNCMIRROR_HTTP_TOKEN" in str(caught.value)
