"""The log file: its form, its bounds, and that nothing becomes of a run because of it. Real files, real threads."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncmirror.cli.gather import Output
from asyncmirror.cli.log_file import Form, LogFile, choose
from asyncmirror.cli.logs import Redactor, configure, set_level
from asyncmirror.errors import OutputError, UsageError

SOURCE = Path("/nowhere/source")
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REDACT = Redactor({"AWS_SECRET_ACCESS_KEY": SECRET})
_log = logging.getLogger("asyncmirror.test")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "log"
    closed()


def closed() -> None:
    for handler in logging.getLogger().handlers:
        handler.close()


def opened(path: Path, *, as_json: bool = True, most: int = 0, keep: int = 2, level: str = "warning") -> LogFile:
    file = LogFile(path, Form(REDACT, as_json=as_json), most=most, keep=keep)
    configure(level, REDACT, file)
    return file


def written(path: Path) -> list[dict[str, Any]]:
    closed()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_says_when_what_and_who(path: Path) -> None:
    opened(path).form.run = 3
    _log.info("read %s", "a", extra={"fields": {"event": "problem", "count": 2}})
    (line,) = written(path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    fields = {"event": "problem", "count": 2}
    assert line == {"level": "info", "logger": "asyncmirror.test", "message": "read a", "pid": os.getpid(), "run": 3, **fields}


def test_an_error_has_its_fields(path: Path) -> None:
    opened(path)
    try:
        int(f"x\x1b{SECRET}")
    except ValueError:
        _log.exception("failed")
    (line,) = written(path)
    assert line["error"]["type"] == "ValueError"
    assert line["error"]["message"].startswith("invalid literal for int()")
    assert "test_log_file.py" in line["error"]["traceback"]
    assert SECRET not in str(line)


@pytest.mark.parametrize("as_json", [True, False])
def test_no_credential_and_no_control_character_comes_into_it(path: Path, *, as_json: bool) -> None:
    opened(path, as_json=as_json)
    hostile = f"{SECRET}\x1b[2J\u202e\n{{}}\udcff"
    _log.warning("%s", hostile, extra={"fields": {"path": hostile, "more": {"deep": [hostile]}}})
    closed()
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert text[:-1].isprintable()
    assert SECRET not in text
    assert "[hidden]\\" in text


def test_text_is_one_line_too(path: Path) -> None:
    opened(path, as_json=False)
    _log.info("read %s", "a")
    closed()
    assert re.fullmatch(rf"\S+Z info asyncmirror\.test\[{os.getpid()}\]: read a\n", path.read_text(encoding="utf-8"))


def test_it_is_for_nobody_else_and_appended_to(path: Path) -> None:
    path.write_bytes(b'{"an older line": 1}\n{"cut o')
    path.chmod(0o640)  # somebody chose that
    opened(path)
    _log.info("new")
    closed()
    assert path.stat().st_mode & 0o777 == 0o640
    older, cut, new = path.read_bytes().splitlines()
    assert (older, cut) == (b'{"an older line": 1}', b'{"cut o')
    assert json.loads(new)["message"] == "new"
    path.unlink()
    opened(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_put_away_when_it_is_large_and_few_are_kept(path: Path) -> None:
    opened(path, most=2_000, keep=2)
    for number in range(100):
        _log.info("%s", f"{number:03}" * 30)
    closed()
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["log", "log.1", "log.2"]
    assert all(file.stat().st_size < 2_000 for file in files)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert "099" * 30 in path.read_text(encoding="utf-8")


def test_one_that_was_moved_away_is_made_anew(path: Path) -> None:
    opened(path)
    _log.info("before")
    closed()
    opened(path)
    path.rename(path.with_suffix(".moved"))
    _log.info("after")
    (line,) = written(path)
    assert line["message"] == "after"


def test_the_level_of_stderr_is_not_its_own_but_debug_is(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened(path, level="error")
    _log.info("told")
    _log.debug("not told")
    set_level("debug")
    _log.debug("told from now on")
    logging.getLogger("botocore").info("a token")
    set_level("warning")
    _log.debug("no more")
    assert [line["message"] for line in written(path)] == ["told", "told from now on"]
    assert capsys.readouterr().err == "DEBUG asyncmirror.test: told from now on\n"


FULL = """
import logging, resource, sys
from pathlib import Path
from asyncmirror.cli.log_file import Form, LogFile
from asyncmirror.cli.logs import configure
file = LogFile(Path(sys.argv[1]), Form(str, as_json=True), most=0, keep=1)
configure("error", str, file)
log, (soft, hard) = logging.getLogger("asyncmirror.run"), resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
for _ in range(20):
    log.info("x" * 100)
while file._lines.qsize():
    pass
with file._file.lock:  # the last of them has been tried
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
log.info("space again")
"""


def test_a_full_disk_loses_lines_and_says_how_many(path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == f"asyncmirror: {path}: the log can't be written; the run goes on without\n"
    lines = path.read_text(encoding="utf-8").splitlines()
    *_, lost, last = [json.loads(line) for line in lines if line.endswith("}")]
    assert last["message"] == "space again"
    whole = sum("xxx" in line and line.endswith("}") for line in lines)
    assert lost["message"] == f"{20 - whole} lines are lost here"


def test_a_file_system_that_hangs_holds_up_nobody(path: Path) -> None:
    file = opened(path)
    file._file.acquire()
    try:
        for _ in range(10_100):
            _log.info("x")
    finally:
        file._file.release()
    closed()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert 10_000 <= len(lines) < 10_010
    assert any(re.search(r'"\d+ lines are lost here"', line) for line in lines)


def test_what_can_not_be_a_log_is_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="no regular file"):
        choose(Output(log_file=tmp_path / "fifo"), SOURCE, REDACT)
    for most in (0, 1 << 20):
        with pytest.raises(OutputError, match="No such file or directory"):
            choose(Output(log_file=tmp_path / "nowhere" / "log", log_max_size=most), SOURCE, REDACT)
    assert choose(Output(), SOURCE, REDACT) is None


def test_it_is_not_in_the_tree_whatever_leads_there(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "link").symlink_to("tree")
    for inside in ("tree/log", "link/a/log", "tree"):
        with pytest.raises(UsageError, match="in the tree that is mirrored"):
            choose(Output(log_file=tmp_path / inside), tmp_path / "tree", REDACT)
    found = choose(Output(log_file=tmp_path / "tree-log"), tmp_path / "link", REDACT)
    assert found is not None
    found.close()


@pytest.mark.parametrize("given", [{"log_max_size": 1}, {"log_keep": 0}, {"log_keep": 1001}])
def test_bounds_are_checked(given: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be"):
        Output(**given)  # type: ignore[arg-type]  # one of these fields
