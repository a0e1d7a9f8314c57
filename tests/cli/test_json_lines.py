import asyncio
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.cli.json_lines import JsonLines, lines
from asyncmirror.events import Notice, Settled, Started, Summary, Unchanged
from asyncmirror.model import Outcome
from asyncmirror.plan import keys

names = st.binary(min_size=1).filter(lambda name: b"/" not in name and b"\0" not in name)


@given(path=st.binary(), outcome=st.sampled_from(Outcome), size=st.integers(0, 1 << 50), reason=st.text())
def test_a_line_gives_the_exact_path_back(path: bytes, outcome: Outcome, size: int, reason: str) -> None:
    [line] = lines(Settled(path, keys.encode(path), outcome, size, reason))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    line.decode("utf-8")
    read = json.loads(line)
    assert read["path"].encode("utf-8", "surrogateescape") == path
    wanted = ["event", "path", "key", "outcome", "size", *(["reason"] if reason else [])]
    assert list(read) == wanted
    assert (read["event"], read["outcome"], read["size"]) == ("object", outcome.name.lower(), size)
    assert read["key"] == keys.encode(path)


@given(directory=st.lists(names, max_size=3).map(b"/".join), files=st.lists(st.tuples(names, st.integers(0, 9)), max_size=5))
def test_unchanged_files_have_a_line_each(directory: bytes, files: list[tuple[bytes, int]]) -> None:
    prefix = keys.directory_prefix("top", directory)
    told = [json.loads(line) for line in lines(Unchanged(directory, prefix, tuple(files)))]
    paths = [directory + b"/" + name if directory else name for name, _ in files]
    assert [each["path"].encode("utf-8", "surrogateescape") for each in told] == paths
    assert [each["key"] for each in told] == [keys.directory_prefix("top", b"") + keys.encode(path) for path in paths]
    assert [each["size"] for each in told] == [size for _, size in files]
    assert {each["outcome"] for each in told} <= {"unchanged"}


def test_the_summary_has_its_keys_in_order() -> None:
    counts = {outcome: int(outcome) + 1 for outcome in Outcome}
    [line] = lines(Summary(counts, {}, 10, 20, 30, 1.23456, 3, stopped=True))
    assert line == (
        b'{"event":"summary","complete":1,"unchanged":2,"excluded":3,"changed":4,"unreadable":5,"unsupported":6,"refused":7,'
        b'"failed":8,"pending":9,"adopted":10,"bytes_sent":10,"bytes_total":20,"requests":30,"seconds":1.235,"exit_code":3}\n'
    )


def test_an_outcome_that_did_not_occur_is_zero() -> None:
    [line] = lines(Summary({}, {}, 0, 0, 0, 0.0, 0))
    assert json.loads(line)["failed"] == 0


def test_a_notice_is_told_and_the_start_is_not() -> None:
    assert list(lines(Notice("a\nb"))) == [b'{"event":"notice","text":"a\\nb"}\n']
    assert list(lines(Started("", "", "", resumed=False))) == []


def unexpected(error: OSError) -> None:
    raise AssertionError(error)


def settled(number: int) -> Settled:
    return Settled(b"file-%d" % number, f"file-{number}", Outcome.COMPLETE, number)


async def test_lines_are_written_whole_and_in_order_however_they_are_flushed(tmp_path: Path) -> None:
    target = tmp_path / "out"
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT)
    try:
        sink = JsonLines(descriptor, unexpected)
        for turn in range(50):
            for number in range(turn * 100, turn * 100 + 100):
                sink.add(settled(number))
            await asyncio.gather(sink.flush(), sink.flush())
    finally:
        os.close(descriptor)
    assert [json.loads(line)["size"] for line in target.read_bytes().splitlines()] == list(range(5000))


async def test_a_pipe_that_is_read_slowly_gets_every_byte() -> None:
    reader, writer = os.pipe()
    received = bytearray()

    def read() -> None:
        while piece := os.read(reader, 1000):
            received.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    sink = JsonLines(writer, unexpected)
    for number in range(5000):
        sink.add(settled(number))
    await sink.flush()
    os.close(writer)
    thread.join()
    os.close(reader)
    assert bytes(received).count(b"\n") == 5000


async def test_a_later_line_never_passes_an_earlier_one() -> None:
    reader, writer = os.pipe()
    sink = JsonLines(writer, unexpected)
    for number in range(5000):
        sink.add(settled(number))
    early = asyncio.create_task(sink.flush())  # more than the pipe holds: it waits for the reader
    await asyncio.sleep(0)
    sink.add(settled(5000))
    late = asyncio.create_task(sink.flush())

    def read() -> bytes:
        received = b""
        while received.count(b"\n") < 5001:
            received += os.read(reader, 1 << 12)
        return received

    received = await asyncio.to_thread(read)
    await asyncio.gather(early, late)
    os.close(writer)
    os.close(reader)
    assert [json.loads(line)["size"] for line in received.splitlines()] == list(range(5001))


async def test_a_write_that_takes_only_some_bytes_is_continued(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write = os.write
    descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    sink = JsonLines(descriptor, unexpected)
    sink.add(settled(1))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, piece: write(descriptor, piece[:7]))
        await sink.flush()
    os.close(descriptor)
    assert json.loads((tmp_path / "out").read_bytes())["size"] == 1


async def test_a_line_waits_no_longer_than_a_second() -> None:
    now = 100.0
    descriptor = os.open(os.devnull, os.O_WRONLY)
    sink = JsonLines(descriptor, unexpected, lambda: now)
    due = []
    for wait, line in ((100.0, False), (0.0, True), (0.9, False), (0.1, False)):
        now += wait
        if line:
            await sink.flush()
            sink.add(settled(1))
        due.append(sink.due)
    await sink.flush()
    due.append(sink.due)
    os.close(descriptor)
    assert due == [False, False, False, True, False]


def test_a_full_piece_does_not_wait() -> None:
    sink = JsonLines(-1, unexpected, lambda: 0.0)
    while not sink.due:
        sink.add(settled(1))


async def test_a_closed_pipe_is_told_of_once_and_nothing_more_is_kept() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    errors: list[OSError] = []
    sink = JsonLines(writer, errors.append)
    for number in range(3):
        sink.add(settled(number))
        await sink.flush()
    os.close(writer)
    assert [type(error) for error in errors] == [BrokenPipeError]
    assert sink.broken
    assert not sink.due


async def test_a_full_disk_is_told_of() -> None:
    errors: list[OSError] = []
    descriptor = os.open("/dev/full", os.O_WRONLY)
    sink = JsonLines(descriptor, errors.append)
    sink.add(settled(1))
    await sink.flush()
    os.close(descriptor)
    assert [error.strerror for error in errors] == ["No space left on device"]
