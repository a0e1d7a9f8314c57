import os
from pathlib import Path

import pytest

from asyncmirror.source import filesystem
from asyncmirror.source.filesystem import is_local, kind, threads


def test_this_machines_memory_file_system_is_known() -> None:
    assert kind(Path("/dev/shm")) == "tmpfs"


@pytest.mark.parametrize(("name", "local"), [("ext4", True), ("tmpfs", True), ("nfs4", False), ("lustre", False), ("", False)])
def test_what_is_local(name: str, local: bool) -> None:  # noqa: FBT001  the column of a table
    assert is_local(name) is local


def test_the_mount_table_is_read_by_device(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 0:1 / /proc rw - proc proc rw\n"
        f"36 35 {os.major(device)}:{os.minor(device)} / /a\\040b rw,noatime master:1 - lustre 10.0.0.1@tcp:/fs rw\n"
    )
    assert kind(tmp_path, table) == "lustre"
    assert kind(tmp_path / "missing", table) == ""
    assert kind(tmp_path, tmp_path / "none") == ""
    table.write_text("garbage\n")
    assert kind(tmp_path, table) == ""


def test_the_number_of_threads_is_what_suits_unless_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "kind", lambda _: "ext4")
    assert threads(tmp_path, 0, 0) == (1, 4)
    assert threads(tmp_path, 0, 7) == (1, 7)
    monkeypatch.setattr(filesystem, "kind", lambda _: "lustre")
    assert threads(tmp_path, 0, 0) == (8, 32)
    assert threads(tmp_path, 3, 0) == (3, 32)
