"""A run that looks only at what is not settled."""

import os
from pathlib import Path

import pytest

from asyncmirror.engine.revisit import Revisit, Unsettled
from asyncmirror.errors import AccessDeniedError, RejectedError, UsageError
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.changes import Fail
from asyncmirror.journal.reader import account, reading
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome, Problem
from asyncmirror.settings import Settings
from tests.engine.house import House, Sent

OF = Belongs("", "s3://bucket/pre", "")


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    for name in ("a/b/bad", "a/b/good", "a/good", "c/good", "c-d/denied", "good"):
        house.write(name, name.encode())
    return house


def retry(house: House) -> Settings:
    return house.options(retry_failed=True, only_failed=True)


def refuse(sent: Sent) -> None:
    if sent.key.endswith("/bad"):
        raise RejectedError("no", op=sent.op)
    if sent.key.endswith("/denied"):
        raise AccessDeniedError("no", op=sent.op)


async def test_where_nothing_was_mirrored_nothing_has_failed_that_anybody_knows(house: House) -> None:
    with pytest.raises(UsageError, match="there is no journal at"):
        await house.run(retry(house))
    assert house.settings.journal is not None
    assert not house.settings.journal.exists()


async def test_what_failed_is_tried_again_and_nothing_else_is_looked_at(house: House) -> None:
    house.store.before = refuse
    assert (await house.run()).summary.exit_code == 1
    house.store.before = lambda _: None
    for name in ("a/new", "a/b/new", "c/new"):
        house.write(name, b"new")
    ran = await house.run(retry(house))
    assert {path: event.outcome for path, event in ran.settled.items()} == {
        b"a/b/bad": Outcome.COMPLETE,
        b"c-d/denied": Outcome.COMPLETE,
    }
    assert (ran.unchanged, ran.summary.exit_code) == (set(), 0)
    ran = await house.run(retry(house))
    assert (ran.settled, ran.unchanged) == ({}, set())
    assert {path for path, event in (await house.run()).settled.items() if event.outcome is Outcome.COMPLETE} == {
        b"a/new",
        b"a/b/new",
        b"c/new",
    }
    assert house.bucket() == house.tree()


async def test_what_is_gone_is_forgiven(house: House) -> None:
    house.store.before = refuse
    await house.run()
    (house.root / "a/b/bad").unlink()
    os.mkfifo(house.root / "a/b/bad")
    (house.root / "c-d/denied").unlink()
    house.write("c-d/denied/file", b"a directory has taken its name")
    ran = await house.run(retry(house))
    assert {path: event.outcome for path, event in ran.settled.items()} == {b"a/b/bad": Outcome.UNSUPPORTED}
    (house.root / "a/b/bad").unlink()
    assert (await house.run(retry(house))).settled == {}
    assert (await house.run()).summary.exit_code == 0


async def test_all_that_is_below_a_directory_that_could_not_be_listed_is_mirrored(house: House) -> None:
    await house.run()
    house.write("a/b/deep/er/new", b"new")
    house.write("c/new", b"new")
    path = house.settings.journal
    assert path is not None
    journal = Journal(path, OF)
    problem = Problem(None, Outcome.UNREADABLE, "directory not listed", retryable=True)
    journal.submit((Fail(journal.known(b"a/b", None).directory, b"", problem),)).result()
    journal.close()
    ran = await house.run(retry(house))
    assert {path for path, event in ran.settled.items() if event.outcome is Outcome.COMPLETE} == {b"a/b/deep/er/new"}
    assert ran.unchanged == {b"a/b/bad", b"a/b/good"}
    assert (await house.run(retry(house))).settled == {}


async def test_it_has_not_seen_the_whole_source(house: House) -> None:
    path = house.settings.journal
    assert path is not None
    await house.run()
    await house.run(watch=lambda mirror, _: mirror.stop())
    await house.run(retry(house))
    with reading(path, OF) as connection:
        assert not account(connection).ended
    await house.run()
    await house.run(retry(house))
    with reading(path, OF) as connection:
        assert account(connection).ended


@pytest.mark.parametrize(
    ("path", "pruned"), [(b"a", False), (b"a/b", False), (b"a/b/c", True), (b"a/bc", True), (b"u", False), (b"u/x/y", False)]
)
def test_only_directories_on_the_way_are_gone_into(path: bytes, *, pruned: bool) -> None:
    filters = Revisit((), Unsettled([b"a/b", b"a/bcd", b"u"], [b"u"]))
    assert bool(filters.prunes(path)) is pruned
