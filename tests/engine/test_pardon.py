"""What was on record as unsettled and is nobody's any more, after runs that saw all, a part, or nothing of it."""

import os
from typing import TYPE_CHECKING

import pytest

from asyncmirror.engine import pardon
from asyncmirror.journal import queries
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome
from asyncmirror.settings import Rule, Settings, Symlinks
from tests.engine.house import PART, House


def on_record(house: House) -> set[bytes]:
    """The paths that are on record with a problem."""
    journal = Journal(house.settings.journal or house.root, Belongs("", "s3://bucket/pre", ""), read_only=True)
    try:
        return journal.ask(lambda db: {found.path for found in queries.problems(db)}).result()
    finally:
        journal.close()


@pytest.fixture
def troubled(house: House) -> House:
    """A tree with links, which are unsupported, in many places."""
    for name in ("a/b/c/link", "a/link", "e/link", "f/link"):
        house.write(f"{name}-beside", name.encode())
        (house.root / name).symlink_to("nowhere")
    return house


if TYPE_CHECKING:
    from asyncmirror.engine.mirror import Mirror

ALL = {b"a/b/c/link", b"a/link", b"e/link", b"f/link"}


def without(house: House, *patterns: str) -> Settings:
    return house.options(rules=tuple(Rule(include=False, pattern=pattern) for pattern in patterns))


@pytest.mark.parametrize("page", [1, 1000])
@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (("/a/link",), ALL - {b"a/link"}),
        (("link",), set()),
        (("/a/",), {b"e/link", b"f/link"}),
        (("/a/b/c/**",), ALL - {b"a/b/c/link"}),
        (("/a/link-beside",), ALL),
    ],
)
async def test_what_is_left_out_is_forgotten(
    troubled: House, monkeypatch: pytest.MonkeyPatch, patterns: tuple[str, ...], left: set[bytes], page: int
) -> None:
    monkeypatch.setattr(pardon, "_PAGE", page)
    await troubled.run()
    assert on_record(troubled) == ALL
    await troubled.run(without(troubled, *patterns))
    assert on_record(troubled) == left


async def test_what_vanished_with_its_directory_is_forgotten(troubled: House) -> None:
    await troubled.run()
    os.rename(troubled.root / "a", troubled.root.parent / "a")
    (troubled.root / "f/link").unlink()
    troubled.write("a", b"a file by now")
    await troubled.run()
    assert on_record(troubled) == {b"e/link"}


async def test_what_is_outside_of_the_mirror_is_forgotten(troubled: House) -> None:
    await troubled.run()
    await troubled.run(troubled.options(within=("e", "f")))
    assert on_record(troubled) == {b"e/link", b"f/link"}


async def test_a_run_of_a_part_or_without_effect_forgets_nothing(troubled: House) -> None:
    await troubled.run()
    os.rename(troubled.root / "a", troubled.root.parent / "a")
    await troubled.run(troubled.options(subdirs=("e",)))
    await troubled.run(troubled.options(dry_run=True))
    await troubled.run(troubled.options(only_failed=True, retry_failed=True))
    assert on_record(troubled) == ALL


async def test_what_is_behind_a_link_is_there_where_links_are_followed(troubled: House) -> None:
    (troubled.root / "e/way").symlink_to("../a")
    follow = troubled.options(symlinks=Symlinks.FOLLOW)
    behind = {b"e/way/link", b"e/way/b/c/link"}
    await troubled.run(follow)
    await troubled.run(follow)
    assert on_record(troubled) == ALL | behind
    (troubled.root / "e/way").unlink()
    (troubled.root / "e/way").symlink_to("/")
    await troubled.run(follow)
    assert on_record(troubled) == ALL | {b"e/way"}
    (troubled.root / "e/way").unlink()
    (troubled.root / "e/way").symlink_to("../a")
    await troubled.run(follow)
    await troubled.run()
    assert on_record(troubled) == ALL | {b"e/way"}


async def test_an_upload_of_what_is_left_out_becomes_an_orphan(house: House) -> None:
    house.write("a/b/large", os.urandom(PART) * 12)
    mirrors: list[Mirror] = []
    house.store.after = lambda sent: mirrors[0].drain() if sent.op == "UploadPart" else None
    await house.run(watch=lambda mirror, _: mirrors.append(mirror))
    assert house.store.uploads == 1
    house.store.after = lambda _: None
    ran = await house.run(without(house, "/a/"))
    assert any("may be left over" in str(event) for event in ran.events)
    assert (await house.run()).outcome(b"a/b/large") is Outcome.COMPLETE
