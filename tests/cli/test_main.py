import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import asyncmirror
from asyncmirror.cli import screen, sync
from asyncmirror.cli.main import main, parse

HEAVY = {"aioboto3", "aiobotocore", "aiohttp", "asyncio", "awscrt", "boto3", "botocore", "orjson", "rich", "sqlite3", "uvloop"}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ASYNCMIRROR_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "COMMAND"),
        (["copy"], "copy"),
        (["sync"], "SOURCE"),
        (["sync", "/tmp"], "s3://BUCKET"),
        (["sync", "/tmp", "s3://bucket", "--frobnicate"], "--frobnicate"),
        (["sync", "/tmp", "s3://bucket", "--no-verify-ssl"], "--no-verify-ssl"),
        (["sync", "/tmp", "s3://bucket", "--conc", "5"], "--conc"),
        (["sync", "/tmp", "s3://bucket", "--part-size"], "--part-size"),
        (["sync", "/tmp", "s3://bucket", "--part-size", "64"], "64MiB"),
        (["sync", "/tmp", "s3://bucket", "--concurrency", "0"], "--concurrency is 0"),
        (["sync", "/tmp", "s3://bucket", "--watch", "15"], "15m"),
        (["sync", "/tmp", "s3://bucket", "--watch", "1m", "--dry-run"], "--watch and --dry-run"),
        (["sync", "/tmp", "s3://bucket", "--watch", "1m", "--batches", "/etc/hosts"], "--watch and --batches"),
        (["sync", "/tmp", "bucket"], "s3://BUCKET/PREFIX"),
        (["sync", "/tmp", "s3://bucket/a//b"], "empty"),
        (["sync", "/nowhere", "s3://bucket"], "does not exist"),
        (["sync", "/etc/passwd", "s3://bucket"], "no directory"),
        (["sync", "", "s3://bucket"], "no path"),
        (["sync", "/nowhere/\x1b[2J\nx\udcff", "s3://bucket"], "does not exist"),
        (["sync", "/tmp", "s3://bucket", "--\x1b[2J\u202e"], "unrecognized"),
        (["status"], "--journal"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("asyncmirror: ")
    assert err.endswith("\n")
    assert err[:-1].isprintable()
    assert says in err


@pytest.mark.parametrize(
    ("argv", "places", "given"),
    [
        (["sync", "a", "-q", "s3://b"], ("a", "s3://b"), ["quiet"]),
        (["sync", "--exclude", "x", "a", "--include", "y", "s3://b", "-n"], ("a", "s3://b"), ["exclude", "include", "dry-run"]),
        (["verify", "s3://b", "--deep", "a"], ("a", "s3://b"), ["deep"]),
        (["sync", "-q", "--", "-a", "s3://b"], ("-a", "s3://b"), ["quiet"]),
        (["sync", "a", "--", "-b"], ("a", "-b"), []),
    ],
)
def test_flags_may_stand_between_arguments(argv: list[str], places: tuple[str, str], given: list[str]) -> None:
    found = parse(argv)
    assert (found.source, found.destination) == places
    assert [each.option.name for each in found.given] == given


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ASYNCMIRROR_MAX_MEMORY", "lots")
    assert main(["sync", "/tmp", "s3://bucket"]) == 2
    assert capsys.readouterr().err.startswith("asyncmirror: ASYNCMIRROR_MAX_MEMORY: 'lots' is no size")


@pytest.mark.parametrize("command", [[], ["sync"], ["status"]])
def test_help_is_given(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: asyncmirror")
    assert err == ""


@pytest.mark.parametrize("command", [[Path(sys.executable).parent / "asyncmirror"], [sys.executable, "-m", "asyncmirror"]])
def test_the_version_is_told_by_the_command_and_by_the_module(command: list[str]) -> None:
    told = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True)
    assert told.stdout == f"asyncmirror {asyncmirror.__version__}\n"
    assert told.stderr == ""


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["sync", "--help"], ["sync", "/nowhere", "s3://bucket"]])
def test_nothing_heavy_is_imported_to_answer_at_once(argv: list[str]) -> None:
    program = f"import sys; from asyncmirror.cli.main import main; main({argv!r}); print(*sys.modules, file=sys.stderr)"
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not HEAVY & set(told.stderr.split())


def seconds(command: list[str]) -> float:
    """Of a processor: a busy machine gives them late, not more of them."""

    def used() -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime

    before = used()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return used() - before


def test_the_version_is_told_nearly_as_fast_as_python_starts() -> None:
    bare = min(seconds([sys.executable, "-c", "pass"]) for _ in range(3))
    full = min(seconds([sys.executable, "-m", "asyncmirror", "--version"]) for _ in range(3))
    # Measured: 11 ms and 52 ms. The bound is the project's own of 150 ms, scaled for a slow machine.
    assert full < max(0.150, 13 * bare)


def fail_with(error: BaseException) -> Callable[..., int]:
    def run(*_: object) -> int:
        raise error

    return run


def test_an_error_that_should_not_be_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(sync, "run", fail_with(KeyError("planted-secret\n")))
    assert main(["sync", "/tmp", "s3://bucket"]) == 4
    err = capsys.readouterr().err
    assert err.startswith("asyncmirror: internal error: KeyError: ")
    assert err.count("\n") == 1
    assert "planted-secret" not in err
    (report,) = (tmp_path / "asyncmirror").iterdir()
    assert f"(please report it, with {report})" in err
    assert "planted-secret" not in report.read_text(encoding="utf-8")


def test_debug_shows_where_it_happened(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sync, "run", fail_with(KeyError("x")))
    assert main(["sync", "/tmp", "s3://bucket", "--log-level", "debug"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_shows_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sync, "run", fail_with(KeyboardInterrupt()))
    assert main(["sync", "/tmp", "s3://bucket"]) == 128 + signal.SIGINT
    assert capsys.readouterr().err == ""


def test_json_without_a_stdout_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", None)
        assert main(["sync", "/tmp", "s3://bucket", "--json"]) == 2
    assert "stdout" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "kind"),
    [([], screen.Lines), (["--no-progress"], screen.Lines), (["-q"], screen.Quiet), (["--json"], screen.Lines)],
)
def test_what_is_no_terminal_gets_lines_or_nothing(flags: list[str], kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[object] = []

    def run(_: object, chosen_screen: object, *__: object) -> int:
        chosen.append(chosen_screen)
        return 0

    monkeypatch.setattr(sync, "run", run)
    assert main(["sync", "/tmp", "s3://bucket", *flags]) == 0
    assert [type(each) for each in chosen] == [kind]
