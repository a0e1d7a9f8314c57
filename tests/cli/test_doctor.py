import json
import os
import re
from pathlib import Path

import pytest

from asyncmirror.cli import doctor
from asyncmirror.cli.gather import from_environment, gather
from asyncmirror.cli.main import main, parse
from asyncmirror.cli.options import OPTIONS
from asyncmirror.doctor.finding import ok, problem, warning
from asyncmirror.doctor.question import Question
from asyncmirror.errors import UsageError
from asyncmirror.settings import Destination

FOUND = [ok("bucket", "answers\x1b[2J"), warning("TLS", "none"), problem("clock", "20 minutes behind " * 6, "set it")]


def asked(*argv: str, environ: dict[str, str] | None = None) -> Question:
    arguments = parse(["doctor", *argv])
    options = [option for group in OPTIONS.values() for option in group]
    return doctor.question(gather(arguments.given, from_environment(options, environ or {})), arguments.places)


def test_the_arguments_are_told_apart_by_what_they_are(tmp_path: Path) -> None:
    destination = Destination("bucket", "pre")
    for argv in (["s3://bucket/pre", str(tmp_path)], [str(tmp_path), "s3://bucket/pre"]):
        question = asked(*argv)
        assert (question.destination, question.source) == (destination, tmp_path)
    assert asked() == Question(flags=asked().flags)
    for argv in (["s3://a1", "s3://b1"], ["/", "/tmp"], ["/absent"], ["s3://"]):
        with pytest.raises(UsageError):
            asked(*argv)


def test_options_are_those_of_sync_and_their_origin_is_known() -> None:
    question = asked("--concurrency", "7", "--no-write", "--journal", "/j", environ={"ASYNCMIRROR_REGION": "r"})
    assert (question.tuning.concurrency, question.write, question.journal) == (7, False, Path("/j"))
    assert question.connection.region == "r"
    assert question.flags == {"region": "ASYNCMIRROR_REGION", "endpoint-url": "--endpoint-url"}


def test_lines_are_escaped_and_one_each() -> None:
    told = list(doctor.lines(FOUND))
    assert told[0] == r"ok       bucket: answers\x1b[2J"
    assert told[2].endswith("(set it)")
    assert doctor.verdict(FOUND) == "3 things looked at: 1 problem, 1 warning"
    assert doctor.verdict(FOUND[:1]) == "1 thing looked at: no problems, no warnings"


@pytest.mark.parametrize("width", [80, 40])
def test_the_table_fits_the_terminal(width: int) -> None:
    text = re.sub(r"\x1b\[[0-9;]*m", "", doctor.table(FOUND, width))
    assert "\x1b" not in text
    assert all(len(line) <= width for line in text.splitlines())
    assert "→ set it" in text
    long = re.sub(r"\s", "", re.sub(r"\x1b\[[0-9;]*m", "", doctor.table([ok("journal", "/" + "x" * 90 + ".sqlite")], width)))
    assert "…" not in long
    assert ".sqlite" in long


def test_the_command_ends_with_its_code(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsysbinary.readouterr().out)
    assert told["exit_code"] == 0
    assert {"topic", "level", "found", "remedy"} == set(told["findings"][0])
    assert main(["doctor", "-q"]) == 0
    assert capsysbinary.readouterr().out == b""
    assert main(["doctor", "-q", "s3://bucket"]) == 4
    assert all(line.startswith("problem ") for line in capsysbinary.readouterr().out.decode().splitlines())
    assert main(["doctor", "s3://bucket"]) == 4
    out = capsysbinary.readouterr().out.decode()
    assert "connection refused" in out
    assert "planted" not in out
