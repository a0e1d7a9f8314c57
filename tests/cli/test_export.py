"""What a mirror left on record, written for other programs, and read back as they would."""

import csv
import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from asyncmirror.audit import digests
from asyncmirror.checksum import compute, to_header
from asyncmirror.cli.main import main
from asyncmirror.engine.journals import belongs, default_journal
from asyncmirror.formats import inventory
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Algorithm
from asyncmirror.plan import keys
from asyncmirror.plan.properties import format_mtime
from asyncmirror.settings import Connection, Destination, Symlinks
from tests.engine.house import PART, House

Capture = pytest.CaptureFixture[str]
NAMES = [b"a b", b"d-e", b"line\nfeed", b"car\rriage", b"back\\slash", b"\\n", b"\xff\xfe", b"\x01\x1b[2J", b'd/x,"y".fits']
NAMES += [b"d/+%2F%", b"d/new\n./line", "é".encode(), b"d/e/" + b"n" * 200]
LARGE = b"large"
PARTS = bytes(2 * PART)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ASYNCMIRROR_"):
            monkeypatch.delenv(name)


@pytest.fixture
async def house(tmp_path: Path) -> House:
    """A mirrored tree with names of every kind, and a file that went up in parts."""
    house = House(tmp_path)
    for name in NAMES:
        house.write(os.fsdecode(name), b"bytes of " + name)
    house.write(os.fsdecode(LARGE), PARTS)
    settings = house.options(objects=replace(house.settings.objects, algorithm=Algorithm.SHA256))
    assert (await house.run(settings)).summary.exit_code == 0
    house.settings = settings
    return house


def export(house: House, *argv: str) -> int:
    return main(["export", "--journal", str(house.settings.journal), *argv])


def below(house: House, name: bytes) -> Path:
    return house.root / os.fsdecode(name)


def test_an_inventory_reads_back_to_every_path(house: House, tmp_path: Path, capsys: Capture) -> None:
    assert export(house, "-o", str(tmp_path / "inventory-edr.txt")) == 0
    text = (tmp_path / "inventory-edr.txt").read_bytes()
    assert capsys.readouterr() == ("", f"asyncmirror: {len(NAMES) + 1} objects written\n")
    lines = text.removesuffix(b"\n").split(b"\n")
    plain = [line.removeprefix(b"./") for line in lines if line.startswith(b"./")]
    marked = [line.removeprefix(b"\\./") for line in lines if line.startswith(b"\\./")]
    assert len(plain) + len(marked) == len(lines)
    found = plain + [line.decode("unicode_escape").encode("latin-1") for line in marked]
    assert sorted(found) == sorted([*NAMES, LARGE])
    assert len(marked) == 5


def test_it_goes_to_stdout_in_the_order_of_the_keys(
    house: House, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "_FLUSH", 30)
    assert export(house, "-q", "--subdir", "d") == 0
    out, err = capfdbinary.readouterr()
    assert out.split(b"\n") == [
        b"./+%2F%",
        b"./e/" + b"n" * 200,
        b"\\./new\\n./line",
        b'./x,"y".fits',
        b"",
    ]
    assert err == b""


def test_a_csv_has_the_columns_of_s3_inventory(house: House, tmp_path: Path) -> None:
    path = tmp_path / "edr.csv"
    assert export(house, "--format", "csv", "-o", str(path), "-q") == 0
    assert path.read_bytes().count(b"\n") == len(NAMES) + 2
    rows = list(csv.DictReader(io.StringIO(path.read_text("ascii"))))
    assert list(rows[0]) == [
        "Bucket",
        "Key",
        "Size",
        "ETag",
        "IsMultipartUploaded",
        "ChecksumAlgorithm",
        "Checksum",
        "SourceMtime",
    ]
    named = {keys.decode(unquote(row["Key"]).removeprefix("pre/")): row for row in rows}
    assert set(named) == {*NAMES, LARGE}
    for name, row in named.items():
        data = PARTS if name == LARGE else b"bytes of " + name
        assert (row["Bucket"], row["Size"], row["ChecksumAlgorithm"]) == ("bucket", str(len(data)), "SHA256")
        assert row["ETag"] == house.store.objects[unquote(row["Key"])].etag
        assert row["SourceMtime"] == format_mtime(below(house, name).stat().st_mtime_ns)
    assert named[NAMES[0]]["Checksum"] == to_header(compute(Algorithm.SHA256, b"bytes of a b"))
    assert [named[LARGE]["IsMultipartUploaded"], named[NAMES[0]]["IsMultipartUploaded"]] == ["true", "false"]
    assert named[LARGE]["Checksum"].endswith("-2")


def test_parquet_has_the_same_rows(house: House, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert export(house, "--format", "parquet", "-o", str(tmp_path / "edr.parquet"), "-q") == 0
    assert export(house, "--format", "csv", "-o", str(tmp_path / "edr.csv"), "-q") == 0
    table = parquet.read_table(tmp_path / "edr.parquet")
    assert table.schema.names[:6] == ["bucket", "key", "size", "e_tag", "is_multipart_uploaded", "checksum_algorithm"]
    columns = [column.to_pylist() for column in table.columns[:-1]]
    columns.append([moment.value for moment in table.column("source_mtime")])
    with (tmp_path / "edr.csv").open(encoding="ascii", newline="") as file:
        _, *lines = csv.reader(file)
    assert [
        [bucket, key, str(size), etag, str(multipart).lower(), algorithm, checksum, format_mtime(mtime)]
        for bucket, key, size, etag, multipart, algorithm, checksum, mtime in zip(*columns, strict=True)
    ] == [[bucket, unquote(key), *rest] for bucket, key, *rest in lines]


def test_without_pyarrow_one_line_names_the_extra(house: House, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert export(house, "--format", "parquet", "-o", "/nowhere/x") == 2
    said = "asyncmirror: Parquet needs pyarrow, which is not installed (pip install 'asyncmirror[parquet]')\n"
    assert capsys.readouterr() == ("", said)


def check(sums: bytes, where: Path) -> None:
    """What sha256sum itself makes of a checksum file."""
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "-"], cwd=where, input=sums, check=True, capture_output=True)


def test_sha256sum_believes_what_is_on_record(house: House, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "all.sha256sum"
    assert export(house, "--format", "sha256sum", "-o", str(path)) == 3
    assert capsys.readouterr().err.splitlines() == [
        "not in it: large: its SHA-256 is not on record (--read reads the file)",
        f"asyncmirror: {len(NAMES)} objects written",
    ]
    check(path.read_bytes(), house.root)
    assert path.read_bytes().count(b"\n") == len(NAMES)


@pytest.mark.parametrize("ahead", [1, 3, 256])
def test_what_is_not_on_record_is_read(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    monkeypatch.setattr(digests, "_AHEAD", ahead)
    path = tmp_path / "all.sha256sum"
    assert export(house, "--format", "sha256sum", "--read", "-o", str(path), "-q") == 0
    check(path.read_bytes(), house.root)
    assert hashlib.sha256(PARTS).hexdigest().encode() + b"  large\n" in path.read_bytes()


@pytest.mark.parametrize(
    ("data", "reason"),
    [(None, "it is gone from the source"), (b"x" * len(PARTS), "the source gives other bytes than were sent")],
)
def test_bytes_that_the_bucket_has_not_are_no_evidence(
    house: House, tmp_path: Path, capsys: Capture, data: bytes | None, reason: str
) -> None:
    if data is None:
        below(house, LARGE).unlink()
    else:
        below(house, LARGE).write_bytes(data)
    assert export(house, "--format", "sha256sum", "--read", "-o", str(tmp_path / "sums")) == 3
    assert capsys.readouterr().err.splitlines()[0] == f"not in it: large: {reason}"
    assert b"large" not in (tmp_path / "sums").read_bytes()


async def test_each_directory_has_its_own_in_desis_naming(tmp_path: Path) -> None:
    house = House(tmp_path)
    names = [
        "README",
        "spectro/data/20210405/00083715/desi-00083715.fits.fz",
        "spectro/data/20210405/00083715/fibermap",
        "spectro/redux/iron/healpix/a.fits",
        "spectro/redux/iron/healpix/main/b.fits",
        "spectro/redux/iron/healpix-x",
        "target/catalogs/new\nline",
    ]
    for name in names:
        house.write(name, name.encode())
    house.write("spectro/redux/iron/healpix/redux_iron_healpix.sha256sum", b"the old one")
    await house.run()
    out = tmp_path / "sums"
    assert export(house, "--format", "sha256sum", "--read", "--per-directory", "-o", str(out), "-q") == 0
    made = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert set(made) == {
        "tree.sha256sum",
        "spectro/data/20210405/00083715/checksum-00083715.sha256sum",
        "spectro/redux/iron/redux_iron.sha256sum",
        "spectro/redux/iron/healpix/redux_iron_healpix.sha256sum",
        "spectro/redux/iron/healpix/main/redux_iron_healpix_main.sha256sum",
        "target/catalogs/target_catalogs.sha256sum",
    }
    for name, sums in made.items():
        check(sums, (house.root / name).parent)
    assert sum(sums.count(b"\n") for sums in made.values()) == len(names)


async def test_a_link_on_record_is_an_empty_object_without_a_sum(tmp_path: Path, capsys: Capture) -> None:
    house = House(tmp_path)
    (house.root / "link").symlink_to("elsewhere")
    await house.run(house.options(symlinks=Symlinks.RECORD))
    assert export(house, "--format", "csv", "-q") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["Key"], row["Size"], row["IsMultipartUploaded"]) == ("pre/link", "0", "false")
    assert export(house, "--format", "sha256sum", "--read") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "not in it: link: it is a symbolic link on record, and has no bytes of its own\n" in err


async def test_what_was_adopted_by_its_size_proves_nothing(tmp_path: Path, capsys: Capture) -> None:
    house = House(tmp_path)
    house.write("file", b"bytes")
    await house.run()
    await house.run(house.options(journal=tmp_path / "other", adopt=True, trust_size=True, send=False, probe=False))
    house.settings = house.options(journal=tmp_path / "other")
    assert export(house, "--format", "csv", "-q") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["Key"], row["ChecksumAlgorithm"], row["Checksum"]) == ("pre/file", "", "")
    assert export(house, "--format", "sha256sum", "--read") == 3
    assert "file: it was adopted by its size alone" in capsys.readouterr().err


def test_only_the_first_that_lack_a_sum_are_named(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("asyncmirror.cli.export.PROBLEMS_KEPT", 0)
    assert export(house, "--format", "sha256sum", "-o", str(tmp_path / "sums"), "-q") == 3
    assert capsys.readouterr().err == "asyncmirror: 1 object in all not in it\n"


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["--format", "xml"], 2, "write inventory, sha256sum, csv or parquet"),
        (["--read"], 2, "--read belongs to --format sha256sum"),
        (["--format", "csv", "--per-directory"], 2, "--per-directory belongs to"),
        (["--format", "sha256sum", "--per-directory"], 2, "add -o DIR"),
        (["--format", "parquet"], 2, "add -o FILE"),
        (["--subdir", "../x"], 2, "no path below the source"),
        (["--subdir", "nope"], 2, "nothing below 'nope' is on record"),
        (["-o", "/nowhere/x"], 4, "/nowhere/x: it can't be written"),
        (["-o", "/dev/full"], 4, "No space left"),
        (["--format", "csv", "-o", "/dev/full"], 4, "No space left"),
        (["--format", "sha256sum", "--per-directory", "-o", "/dev/null/x"], 4, "it can't be made: Not a directory"),
        (["/tmp", "s3://other"], 2, "belongs to s3://bucket/pre"),
    ],
)
def test_a_refusal_is_one_line(house: House, capsys: Capture, argv: list[str], code: int, says: str) -> None:
    assert export(house, "-q", *argv) == code
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("not in it")]
    assert out == ""
    assert len(lines) == 1
    assert lines[0].startswith("asyncmirror: ")
    assert says in lines[0]


def test_a_file_stays_as_it_was_where_nothing_takes_its_place(house: House, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    assert export(house, "--subdir", "nope", "-o", str(tmp_path / "old")) == 2
    assert (tmp_path / "old").read_bytes() == b"old"


def test_a_journal_that_is_none_or_was_never_used(tmp_path: Path, capsys: Capture) -> None:
    assert main(["export", "--journal", str(tmp_path / "none")]) == 2
    assert "there is no journal" in capsys.readouterr().err
    assert main(["export"]) == 2
    assert "--journal FILE" in capsys.readouterr().err


def test_a_journal_in_use_is_left_alone(house: House, capsys: Capture) -> None:
    assert house.settings.journal is not None
    journal = Journal(house.settings.journal, Belongs(str(house.root), "s3://bucket/pre", ""))
    try:
        assert export(house) == 4
    finally:
        journal.close()
    assert capsys.readouterr().err.count("\n") == 1


def test_source_and_destination_tell_which_journal_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    of = belongs(tmp_path, Destination.parse("s3://bucket/pre"), Connection("http://127.0.0.1:9"))
    Journal(default_journal(of), of).close()
    asked = ["export", str(tmp_path), "s3://bucket/pre", "--endpoint-url"]
    assert main([*asked, "http://127.0.0.1:9"]) == 0
    assert capsys.readouterr() == ("", "asyncmirror: 0 objects written\n")
    assert main([*asked, "http://127.0.0.1:10"]) == 2
    assert "there is no journal" in capsys.readouterr().err
