"""What fuzzing has found, one test each."""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from asyncmirror import checksum
from asyncmirror.cli import read
from asyncmirror.cli import status as shown
from asyncmirror.engine.status import from_plain, read_status, to_plain
from asyncmirror.errors import CredentialsError, JournalError, ServerFaultError, UsageError
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.schema import connect
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Algorithm, Checksum
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Connection, ObjectOptions, Rule
from asyncmirror.sizes import parse_size
from asyncmirror.store.s3 import S3Store
from asyncmirror.store.session import open_session
from asyncmirror.store.wire.document import parse
from tests.alarm import limited
from tests.fuzz import journals, pure
from tests.fuzz.target import Target, constant, looping
from tests.store.canned import http, serving, xml

OF = Belongs("/tree", "s3://bucket", "")


@pytest.mark.parametrize(
    "pattern", ["*a" * 8, "**a*a" * 4, "*{a,aa}" * 8, "*[a-z]**?" * 6, "{**,*}a" * 8, "**/*a" * 8 + "{,a}*"]
)
def test_a_name_full_of_what_a_pattern_looks_for_takes_no_time(pattern: str) -> None:
    filters = Filters([Rule(include=False, pattern=pattern + "*b")])
    with limited(30):
        assert not filters.excludes(b"a" * 255)
        assert not filters.excludes(b"a/" * 2000)
    assert filters.excludes(b"a/" * 10 + b"a" * 244 + b"b")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/*ab*b", b"abab", True),
        ("/**a*b", b"a/ab", True),
        ("/**a/*b", b"a/a/b", True),
        ("/*[/a]b*c", b"ab/bc", True),
        ("/*{ab,a}*b", b"ab", True),
        ("/*a**b", b"ca/d/b", True),
        ("/*?a*b", b"aab", True),
        ("[[a]", b"[", True),
        ("[+--]", b",", True),
        ("[--0]", b".", True),
        (r"[\d]", b"5", False),
        (r"[a\-c]", b"b", False),
        ("[!&&~~||]", b"x", True),
    ],
)
def test_a_star_gives_up_no_match(pattern: str, path: bytes, matches: bool) -> None:  # noqa: FBT001  the column of a table
    assert bool(Filters([Rule(include=False, pattern=pattern)]).excludes(path)) is matches


@pytest.mark.parametrize("encoding", [b"none", b"hex", b"utf-16"])
def test_a_document_in_an_encoding_that_nobody_knows_is_none(encoding: bytes) -> None:
    assert parse(b'<?xml version="1.0" encoding="' + encoding + b'"?><Error/>') is None


def test_numbers_without_end_are_usage_errors() -> None:
    for reader, text in ((read.count, "9" * 5000), (parse_size, "9" * 400 + "TiB"), (parse_size, "1." + "9" * 5000 + "MiB")):
        with pytest.raises(UsageError):
            reader(text)
    assert checksum.from_header(Algorithm.CRC32, "AAAAAA==-" + "9" * 5000) is None
    assert checksum.from_header(Algorithm.CRC32, "AAAAAA==-10000") == Checksum(Algorithm.CRC32, bytes(4), 10_000)


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(
    "answer",
    [
        xml("<Error><Code><Code/></Code></Error>", "403 X"),
        xml("<Error>" + "<a>" * 5000 + "</a>" * 5000 + "</Error>", "500 X"),
        http("200 OK", b'<?xml version="1.0" encoding="hex"?><ListBucketResult/>'),
        xml("<ListBucketResult><Contents><Size/></Contents><IsTruncated>false</IsTruncated></ListBucketResult>"),
    ],
)
async def test_a_document_that_the_sdk_can_not_bear_is_a_server_fault(answer: bytes) -> None:
    async with (
        serving(lambda _, __: answer) as server,
        S3Store("bucket", Connection(endpoint_url=server.url), ObjectOptions(), 4) as store,
    ):
        with pytest.raises(ServerFaultError, match=r"can't be read|lacks"):
            await store.check_bucket("")


@pytest.mark.parametrize(
    "text",
    [
        "[default]\nregion =\n  addressing_style = path\n",
        "[default]\ns3 =\n  addressing_style = odd\n",
        "[default]\nendpoint_url = true\n",
        "[default]\ns3 = mine\n",
    ],
)
async def test_a_configuration_that_the_sdk_can_not_bear_ends_the_run(
    text: str, tmp_path: Path, chain: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(text)
    chain.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(CredentialsError) as caught:
        async with open_session("bucket", Connection(), 4):
            pass
    assert caught.value.exit_code == 4


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to(os.devnull)


def database(path: Path) -> None:
    with connect(None) as other:
        other.execute("PRAGMA application_id = 1")
        other.execute("VACUUM INTO ?", (str(path),))
    other.close()


def text(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)


def zeros(path: Path) -> None:
    path.write_bytes(bytes(8192))


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize("make", [fifo, Path.mkdir, link, database, text, zeros, listening])
def test_what_is_no_journal_is_said_at_once_and_left_alone(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "j"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with limited(30):
        for use in (lambda: Journal(path, OF), lambda: read_status(path)):
            with pytest.raises(JournalError) as caught:
                use()
            assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_every_page_of_a_journal_may_be_damaged(tmp_path: Path) -> None:
    journals.make(tmp_path / "made")
    data = (tmp_path / "made").read_bytes()
    assert len(data) // journals.PAGE > 5
    for page in range(0, len(data), journals.PAGE):
        for begin, end in ((page, page + 100), (page, page + journals.PAGE), (page + 3000, page + 3100)):
            path = tmp_path / f"journal-{begin}-{end}"
            path.write_bytes(data[:begin] + bytes(byte ^ 0xFF for byte in data[begin:end]) + data[end:])
            with limited(30):
                journals.use(path)


async def test_a_journal_says_that_it_is_damaged_where_sqlite_does_not_see_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journals.make(path)
    for statement in ("UPDATE problem SET outcome = 77", "UPDATE run SET started = 1e300", "UPDATE run SET summary = '[]'"):
        copy = tmp_path / "copy"
        copy.write_bytes(path.read_bytes())
        connection = connect(copy)
        connection.execute(statement)
        connection.close()
        with pytest.raises(JournalError, match="damaged"):
            read_status(copy)
        copy.unlink()


def test_a_lock_file_with_a_time_that_is_none_names_nobody(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", OF)
    for since in ("1e300", "Infinity", "[" * 9000):
        (tmp_path / "j.lock").write_text(f'{{"pid": 1, "host": "h", "endpoint": "", "since": {since}}}')
        with pytest.raises(JournalError, match=r"process 0 on \?"):
            Journal(tmp_path / "j", OF)
    journal.close()


def test_an_answer_of_another_version_is_no_crash() -> None:
    told = json.dumps(to_plain(pure.STATUS))
    for bad in (
        "{}",
        "[]",
        told.replace("1.5", '"x"'),
        told.replace("1.5", "1e300"),
        told.replace('"flight": {', '"flight": [{}], "x": {'),
    ):
        with pytest.raises((ValueError, TypeError, KeyError)):
            from_plain(json.loads(bad))
    strange = from_plain(json.loads(told.replace('"exit_code": 3', '"exit_code": "\\u001b[2J"')))
    assert all(line.isprintable() for line in shown.lines(strange))


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    def bad(value: bytes) -> None:
        assert b"\xff" not in value

    with pytest.raises(AssertionError):
        Target("bad", st.binary(), constant(bad), 500).hunt(tmp_path, 1)


def test_what_a_task_raises_is_found() -> None:
    async def fails() -> None:
        raise ValueError

    async def starts() -> None:
        await asyncio.wait([asyncio.create_task(fails())])

    with looping() as run, pytest.raises(AssertionError, match="never retrieved"):
        run(starts())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE upload SET part_size = 0",
        "UPDATE upload SET algorithm = 'none'",
        "UPDATE receipt SET digest = x'00'",
        "UPDATE receipt SET size = -1",
        "UPDATE problem SET outcome = 77",
    ],
)
def test_a_row_that_no_run_wrote_ends_the_run(statement: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journals.make(path)
    connection = connect(path)
    connection.execute(statement)
    connection.close()
    journal = Journal(path, OF)
    known = journal.known(b"dir\xff", None)
    with pytest.raises(JournalError, match="damaged"):
        journal.records(known.directory, sorted(known.unsettled))
    journal.close()
