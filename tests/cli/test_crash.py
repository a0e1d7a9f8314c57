"""Reports of errors that should not be: what is in them, what never is, and how many there are."""

import asyncio
import logging
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from asyncmirror.cli import circumstances, crash
from asyncmirror.cli.circumstances import Circumstances
from asyncmirror.cli.gather import Invocation, Output
from asyncmirror.cli.logs import Redactor, configure
from asyncmirror.engine.journals import state_directory
from asyncmirror.errors import BucketError
from asyncmirror.events import Summary
from asyncmirror.settings import Connection, Destination, Settings, Tuning

HOOK = "hooks/T0/B0/planted-hook"
INVOCATION = Invocation(
    Settings(Path("/da\x1bta"), Destination("box"), Connection(profile="desi"), tuning=Tuning(loops=2)),
    Output(notify=(f"https://chat.test/{HOOK}",)),
)


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """An environment and a configuration full of secrets."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    aws = tmp_path / "home" / ".aws"
    aws.mkdir(parents=True)
    (aws / "credentials").write_text("[a]\naws_secret_access_key = planted-file-key\n", encoding="utf-8")
    (aws / "config").write_text("[b]\n  aws_session_token=planted-file-token\nregion = eu\n", encoding="utf-8")
    return {
        "HOME": str(tmp_path / "home"),
        "AWS_SECRET_ACCESS_KEY": "planted-key",
        "AWS_SESSION_TOKEN": "planted-token",
        "VAULT_TOKEN": "planted-vault",
        "PGPASSWORD": "planted-password",
        "HTTPS_PROXY": "http://me:planted-proxy@proxy:3128",
        "ASYNCMIRROR_NOTIFY": f"https://chat.test/{HOOK}",
        "REGION": "eu-west-1",
    }


def raised(environ: Mapping[str, str]) -> Exception:
    """An error whose texts hold all of it, and whose frames do, too."""

    def fail() -> None:
        token = environ["VAULT_TOKEN"]
        raise KeyError(f"planted-file-key planted-file-token {token}", {"Authorization": "planted-header"})

    def fail_so() -> None:
        try:
            fail()
        except KeyError as error:
            raise ValueError(" ".join(environ.values()) + "\x1b[2J\u202e") from error

    try:
        fail_so()
    except ValueError as error:
        error.add_note(f"note {environ['PGPASSWORD']}")
        return ExceptionGroup("planted-vault", [error])
    raise AssertionError


def test_no_secret_is_in_it_wherever_it_stood(environ: Mapping[str, str]) -> None:
    configure("warning", Redactor({}))
    logging.getLogger("asyncmirror.test").info("a line with planted-vault in it")
    path = crash.write(raised(environ), environ)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    told = path.read_text(encoding="utf-8")
    assert "planted" not in told
    assert "[hidden]" in told
    assert all(line.isprintable() for line in told.splitlines())
    for expected in ("ExceptionGroup", "KeyError", "ValueError", "note [hidden]", "in fail_so", "a line with [hidden] in it"):
        assert expected in told
    assert "eu-west-1" in told, "what is no secret stays"


def test_it_knows_the_command_and_no_argument(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, expected in ((["retry-failed", "planted"], "retry-failed"), (["--x=planted"], "unknown"), ([], "unknown")):
        monkeypatch.setattr(sys, "argv", ["asyncmirror", *arguments])
        path = crash.write(ValueError(), environ)
        assert path is not None
        assert f"command {expected}, process" in path.read_text(encoding="utf-8")
        path.unlink()


def test_few_are_kept_and_they_are_the_latest(environ: Mapping[str, str], tmp_path: Path) -> None:
    directory = tmp_path / "state" / "asyncmirror"
    directory.mkdir(parents=True)
    for day in range(1, 8):
        (directory / crash.named(86400.0 * day, 7)).touch()
    (directory / "a-journal.sqlite").touch()
    path = crash.write(ValueError(), environ)
    assert path is not None
    left = sorted(each.name for each in directory.iterdir())
    assert left == ["a-journal.sqlite", *(crash.named(86400.0 * day, 7) for day in (4, 5, 6, 7)), path.name]


def test_where_it_can_not_be_kept_it_goes_elsewhere_or_nowhere(
    environ: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").touch()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    path = crash.write(ValueError(), environ)
    assert path is not None
    assert path.parent == tmp_path / "tmp"
    assert crash.write(ValueError(), environ) is None, "nothing is written over"


async def test_an_error_is_told_what_was_going_on(environ: Mapping[str, str]) -> None:
    with pytest.raises(ValueError, match="bug") as caught:
        async with Circumstances(INVOCATION):
            raise ValueError("bug")
    path = crash.write(caught.value, environ)
    assert path is not None
    told = path.read_text(encoding="utf-8")
    assert "  settings.connection.profile: 'desi'\n  settings.tuning.loops: 2\n  output.notify: 1 of them\n" in told
    assert "/da\\x1bta to s3://box" in told
    assert "planted-hook" not in told


async def test_what_is_no_bug_is_told_nothing() -> None:
    for error in (BucketError("no"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            async with Circumstances(INVOCATION):
                raise error
        assert not hasattr(error, "__notes__")


async def test_a_bug_of_an_uploader_process_is_reported(environ: Mapping[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    configure("warning", Redactor(environ))
    logging.getLogger("asyncmirror.engine.process").debug("an error that should not be\nTraceback of it")
    async with Circumstances(INVOCATION) as tap:
        assert isinstance(tap, Circumstances)
        tap.tell(Summary({}, {}, 0, 0, 0, 0.0, 4, error="no bucket"))
        assert not capsys.readouterr().err
        tap.tell(Summary({}, {}, 0, 0, 0, 0.0, 4, error="internal error in an uploader process: ValueError: bug"))
    said = capsys.readouterr().err
    (report,) = state_directory().glob("*.txt")
    assert f"a report of the internal error is in {report}" in said
    assert "Traceback of it" in report.read_text(encoding="utf-8")


def test_traces_of_the_dead_become_reports(tmp_path: Path) -> None:
    gone = 1 << 22  # above the kernel's largest process id
    (tmp_path / f"asyncmirror-native-{gone}.txt").write_text("Fatal Python error: Segmentation fault", encoding="utf-8")
    (tmp_path / f"asyncmirror-native-{gone + 1}.txt").touch()
    (tmp_path / "asyncmirror-native-1.txt").touch()
    (tmp_path / "asyncmirror-native-x.txt").touch()
    (report,) = circumstances._left(tmp_path)
    assert report.read_text(encoding="utf-8") == "Fatal Python error: Segmentation fault"
    assert report.name.endswith(f"-{gone}.txt")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {report.name, "asyncmirror-native-1.txt", "asyncmirror-native-x.txt"}
    assert not list(circumstances._left(tmp_path)), "told once"
