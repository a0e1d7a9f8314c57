import os
import stat
import threading
from pathlib import Path

import pytest

from asyncmirror.errors import OutputError
from asyncmirror.formats.output import replacing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "find.json"


def test_a_file_is_there_when_all_is_written(path: Path) -> None:
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["find.json"]


def test_a_failure_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    path.write_bytes(b"old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["find.json"]


def test_others_may_read_it_as_the_umask_says(path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(path):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_a_link_leads_to_is_replaced(path: Path) -> None:
    real = path.parent / "real"
    real.mkdir()
    (real / "file").write_bytes(b"old")
    path.symlink_to(real / "file")
    with replacing(path) as file:
        file.write(b"new")
    assert path.is_symlink()
    assert (real / "file").read_bytes() == b"new"


def test_a_fifo_stays_one(path: Path) -> None:
    os.mkfifo(path)
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(path.read_bytes()))
    reader.start()
    with replacing(path) as file:
        file.write(b"new")
    reader.join()
    assert taken == [b"new"]
    assert path.is_fifo()


@pytest.mark.parametrize(
    ("place", "says"), [("missing/find.json", "No such file"), ("/dev/full", "No space left"), (".", "a dir")]
)
def test_what_can_not_be_written_is_told(path: Path, place: str, says: str) -> None:
    with pytest.raises(OutputError, match=says) as caught, replacing(path.parent / place) as file:
        file.write(b"new")
    assert caught.value.exit_code == 4
