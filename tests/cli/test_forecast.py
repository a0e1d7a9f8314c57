"""What `asyncmirror plan` says beforehand, held against what a sync does afterwards."""

import json
import os
from pathlib import Path

import pytest

from asyncmirror.cli import forecast
from asyncmirror.cli.forecast import histogram
from asyncmirror.cli.main import main
from asyncmirror.engine import mirror
from asyncmirror.plan.estimate import Bin
from asyncmirror.plan.prices import SMALL
from asyncmirror.sizes import KIB, MIB
from asyncmirror.store.memory import MemoryStore
from tests.engine.house import PART, House
from tests.engine.test_mirror import stop_within_an_upload

Capture = pytest.CaptureFixture[str]
TUNING = ["--part-size", "5MiB", "--multipart-threshold", "10MiB", "--max-memory", "64MiB"]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ASYNCMIRROR_"):
            monkeypatch.delenv(name)


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.write("empty", b"")
    house.write("a/small", b"x" * 5000)
    house.write("a/large", bytes(2 * PART + 1))
    house.write("skipped.tmp", b"tmp")
    return house


def plan(house: House, *argv: str) -> int:
    journal = str(house.settings.journal)
    return main(["plan", str(house.root), "s3://bucket/pre", "--journal", journal, *TUNING, *argv])


def told(house: House, capsys: Capture, *argv: str) -> dict[str, object]:
    assert plan(house, "--json", *argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


async def test_what_is_foreseen_is_what_a_sync_does(house: House, capsys: Capture) -> None:
    found = told(house, capsys, "--exclude", "*.tmp")
    assert found["scanned"] == {"count": 4, "bytes": 5003 + 2 * PART + 1}
    assert found["outcomes"] == {"excluded": {"count": 1, "bytes": 3}}
    assert found["multipart"] == {"files": 1, "parts": 3, "longest_part": PART, "enlarged": 0}
    assert not (house.root.parent / "journal.sqlite").exists()
    (house.root / "skipped.tmp").unlink()
    ran = await house.run(house.options(probe=False))
    assert found["send"] == {"count": 3, "bytes": ran.summary.bytes_sent, "left": ran.summary.bytes_sent}
    ops = house.store.ops()
    charged = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")
    assert found["requests"] == sum(ops[op] for op in charged)
    after = told(house, capsys)
    assert after["send"] == {"count": 0, "bytes": 0, "left": 0}
    assert after["outcomes"] == {"unchanged": {"count": 3, "bytes": ran.summary.bytes_sent}}
    assert after["requests"] == 0


async def test_a_file_whose_times_changed_is_compared_first(house: House, capsys: Capture) -> None:
    await house.run()
    os.utime(house.root / "a/small", ns=(1, 1))
    found = told(house, capsys)
    assert found["compare"] == {"count": 1, "bytes": 5000}
    assert found["send"] == {"count": 0, "bytes": 0, "left": 0}
    assert plan(house) == 0
    assert "  (times changed: sent if the bytes did)\n" in capsys.readouterr().out


async def test_an_upload_in_progress_counts_with_what_is_left(tmp_path: Path, capsys: Capture) -> None:
    house = House(tmp_path)
    await stop_within_an_upload(house)
    found = told(house, capsys)
    ran = await house.run()
    assert found["send"] == {"count": 1, "bytes": 12 * PART, "left": ran.summary.bytes_sent}
    assert 0 < ran.summary.bytes_sent < 12 * PART
    assert found["requests"] == house.store.ops()["UploadPart"] + 2


def test_prices_and_bandwidth_may_be_given(house: House, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(house, capsys, "--bandwidth", "1MiB", "--request-price", "2000", "--storage-price", "1000000")
    size = 5003 + 2 * PART + 1
    assert found["request_cost"] == 2 * 8
    assert found["monthly_cost"] == {"sent": round(size / 10**6, 6), "all": round(size / 10**6, 6)}
    assert found["seconds"] == round(size / MIB, 3)
    monkeypatch.setenv("ASYNCMIRROR_REQUEST_PRICE", "$1000")
    found = told(house, capsys)
    assert (found["request_cost"], found["seconds"]) == (8, None)
    assert told(house, capsys, "--bwlimit", "2MiB")["seconds"] == round(size / MIB / 2, 3)
    assert told(house, capsys, "--bwlimit", "2MiB", "--bandwidth", "1MiB")["seconds"] == round(size / MIB, 3)


async def test_a_storage_class_has_prices_of_its_own(house: House, capsys: Capture) -> None:
    found = told(house, capsys, "--storage-class", "GLACIER_IR")
    cost = round((3 * SMALL + 2 * PART + 1) * 4e-12, 6)
    assert found["monthly_cost"] == {"sent": cost, "all": cost}
    assert found["request_cost"] == 8 * 2e-5
    prices = {"storage": 4.0, "requests": 0.02, "listed": "October 2025", "least_size": SMALL, "least_days": 90}
    assert found["prices"] == {"storage_class": "GLACIER_IR", **prices}
    await house.run()
    assert told(house, capsys, "--storage-class", "GLACIER_IR")["monthly_cost"] == {"sent": 0, "all": cost}

    def said(*flags: str) -> list[str]:
        assert plan(house, *flags) == 0
        lines = capsys.readouterr().out.splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("prices"))
        return [line[14:] for line in (*lines, "")[at : at + 3]]

    assert said("--storage-class", "DEEP_ARCHIVE")[2] == "each object is charged with 40 KiB beside it, for 180 days at least"
    assert said("--storage-class", "STANDARD_IA")[2] == "each object is charged as 128 KiB at least, for 30 days at least"
    assert said("--storage-class", "COLD")[1].startswith("no price of this class is known: of S3 Standard, Amazon's in ")
    own = said("--storage-price", "1")[1]
    assert own == "requests: Amazon's in us-east-1, October 2025; yours may differ"
    assert said("--storage-price", "1", "--request-price", "2")[:2] == [
        "STANDARD: $1 for a TB and month, $2 for 1,000 PUTs",
        "",
    ]


def test_people_get_a_picture(house: House, capsys: Capture) -> None:
    assert plan(house, "--bandwidth", "1MiB") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "                       entries       bytes",
        "scanned                      4    10.0 MiB",
        "to send                      4    10.0 MiB",
        "",
        "requests      8 that are charged as PUT",
        "parts         1 file in 3 parts of at most 5 MiB",
        "cost          $0.00 for requests; a month of storage $0.00, with what is there already $0.00",
        "prices        STANDARD: $23 for a TB and month, $0.005 for 1,000 PUTs",
        "              Amazon's in us-east-1, October 2025; yours may differ",
        "time          0:10 at 1 MiB/s, by bandwidth alone",
        "",
        "size of files to send          files     bytes",
        "      0 B to 1 KiB                 2       3 B  " + "█" * 52,
        "    1 KiB to 4 KiB                 0       0 B",
        "    4 KiB to 16 KiB                1   4.9 KiB  " + "█" * 26,
        "   16 KiB to 64 KiB                0       0 B",
        "   64 KiB to 256 KiB               0       0 B",
        "  256 KiB to 1 MiB                 0       0 B",
        "    1 MiB to 4 MiB                 0       0 B",
        "    4 MiB to 16 MiB                1  10.0 MiB  " + "█" * 26,
    ]


def test_a_bar_shows_whatever_is_not_nothing() -> None:
    *_, few, none = histogram([Bin(0, 10_000, 0), Bin(KIB, 1, KIB), Bin(4 * KIB, 0, 0)], 80)
    assert few.endswith(" ▏")
    assert none.endswith(" 0 B")


def test_a_large_release_fits_its_columns() -> None:
    lines = list(histogram([Bin(4**15 * KIB, 100_000_000, 10**17)], 20))
    assert lines[1].endswith("100,000,000  88.8 PiB  " + "█" * 10)


def test_what_would_not_be_sent_is_named(house: House, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(house.root / "fifo")
    house.write(".ssh/id_rsa", b"x")
    os.truncate(house.write("huge", b""), 1 << 40)
    assert plan(house, "--stubs", "read") == 3
    out, err = capsys.readouterr()
    assert err == "unsupported: fifo: a FIFO has no bytes to mirror\n"
    assert "1 file is too large for --max-memory or for S3, and not in these numbers\n" in out
    assert "1 of those to send looks like a secret: refused unless the bucket is private\n" in out
    monkeypatch.setattr(forecast, "PROBLEMS_KEPT", 0)
    monkeypatch.setattr(forecast, "_INTERVAL", 0.0)
    assert plan(house, "--no-progress") == 3
    assert capsys.readouterr().err == "asyncmirror: 2 entries in all could not be sent\n"
    assert plan(house, "-q") == 3
    assert plan(house) == 3
    assert "asyncmirror: scanned " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--bandwidth", "0B"], "--bandwidth must be more than nothing"),
        (["--bandwidth", "5"], "--bandwidth: '5' is no size"),
        (["--storage-price", "-1"], "--storage-price: '-1' is no amount of money"),
        (["--request-price", "inf"], "no amount of money"),
        (["--request-price", "nan"], "no amount of money"),
        (["--request-price", "a lot"], "no amount of money"),
        (["--concurrency", "5"], "--concurrency"),
    ],
)
def test_a_refusal_is_one_line(house: House, capsys: Capture, argv: list[str], says: str) -> None:
    assert plan(house, *argv) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_what_is_refused_as_a_secret_is_not_to_be_sent(house: House, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    house.write(".ssh/id_rsa", b"x")
    house.write("b/key.pem", b"x")
    flags = ("--public", "--allow-secrets", "*.pem")
    assert plan(house, *flags) == 3
    foreseen, err = capsys.readouterr()
    assert err.startswith("refused: .ssh/id_rsa: looks like a secret")
    assert [line.split()[:3] for line in foreseen.splitlines()[1:4]] == [
        ["scanned", "6", "10.0"],
        ["to", "send", "5"],
        ["refused", "1", "1"],
    ]
    assert "look" not in foreseen
    monkeypatch.setattr(mirror, "Mirror", lambda settings, real=mirror.Mirror: real(settings, MemoryStore()))
    argv = ["sync", str(house.root), "s3://bucket/pre", "--journal", str(house.settings.journal), *TUNING, "-n"]
    assert main([*argv, *flags]) == 3
    assert capsys.readouterr().out.partition("\n\n")[2] == foreseen


def test_a_dry_run_ends_with_the_same_numbers(house: House, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan(house, "--storage-price", "50") == 0
    foreseen = capsys.readouterr().out
    assert "to send" in foreseen
    monkeypatch.setattr(mirror, "Mirror", lambda settings, real=mirror.Mirror: real(settings, MemoryStore()))
    argv = ["sync", str(house.root), "s3://bucket/pre", "--journal", str(house.settings.journal), *TUNING, "-n"]
    assert main([*argv, "--storage-price", "50"]) == 0
    lines, _, told = capsys.readouterr().out.partition("\n\n")
    assert sorted(lines.splitlines()) == [
        f"(dry run: upload) {name}" for name in ("a/large", "a/small", "empty", "skipped.tmp")
    ]
    assert told == foreseen
    assert main([*argv, "--json"]) == 0
    assert all(json.loads(line) for line in capsys.readouterr().out.splitlines())
