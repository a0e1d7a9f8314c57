"""Runs with remaps: where files go, whose a key is that two of them want, and what may be changed between runs."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from asyncmirror.audit.leftovers import Whose
from asyncmirror.audit.merge import Verdict
from asyncmirror.cli.main import main
from asyncmirror.engine.forecast import Forecaster
from asyncmirror.errors import ServerFaultError, UsageError
from asyncmirror.events import Notice
from asyncmirror.model import Outcome
from asyncmirror.settings import Remap, Rule, Settings, Symlinks
from tests.audit.test_leftovers import leftovers
from tests.audit.test_verify import verify
from tests.engine.house import PART, TUNING, House, Ran, Sent

BOTH = (Remap("edr/target", "target"), Remap("dr1/target", "target"))


def remapped(house: House, remaps: Sequence[Remap] = BOTH, **changes: object) -> Settings:
    return house.options(remaps=tuple(remaps), **changes)


def refused(ran: Ran) -> set[bytes]:
    return {path for path, event in ran.settled.items() if event.outcome is Outcome.REFUSED}


async def test_every_file_is_remapped_by_itself_and_verify_knows_where(house: House) -> None:
    names = ["dr1/target/a/x", "dr1/target/y", "dr1/target_x/z", "edr/target/e", "edr/target/a-b", "edr/target/a/w", "a", "t"]
    for name in names:
        house.write(name, name.encode())
    ran = await house.run(remapped(house))
    assert ran.summary.exit_code == 0
    assert house.bucket() == {
        "pre/target/a/x": b"dr1/target/a/x",
        "pre/target/y": b"dr1/target/y",
        "pre/dr1/target_x/z": b"dr1/target_x/z",
        "pre/target/e": b"edr/target/e",
        "pre/target/a-b": b"edr/target/a-b",
        "pre/target/a/w": b"edr/target/a/w",
        "pre/a": b"a",
        "pre/t": b"t",
    }
    again = await house.run(remapped(house))
    assert not house.store.sent
    assert again.count(Outcome.UNCHANGED) == len(names)
    done = await verify(house)
    assert (done.findings, done.report.exit_code) == ({}, 0)
    del house.store.objects["pre/target/a/x"]
    assert (await verify(house)).verdicts == {"pre/target/a/x": Verdict.MISSING}


@pytest.mark.parametrize("scanners", [1, 4])
@pytest.mark.parametrize("order", [1, -1])
async def test_of_two_files_with_one_key_that_of_the_first_remap_is_sent(house: House, order: int, scanners: int) -> None:
    for number in range(20):
        house.write(f"edr/target/{number}/x", b"edr")
        house.write(f"dr1/target/{number}/x", b"dr1")
    house.write("dr1/target/own", b"own")
    asked = remapped(house, BOTH[::order], tuning=replace(TUNING, scanners=scanners))
    ran = await house.run(asked)
    first, second = ("edr", "dr1")[::order]
    assert house.bucket() == {"pre/target/own": b"own"} | {f"pre/target/{n}/x": first.encode() for n in range(20)}
    assert refused(ran) == {f"{second}/target/{number}/x".encode() for number in range(20)}
    assert ran.settled[f"{second}/target/0/x".encode()].reason == (
        f"its key is that of {first}/target/0/x: a remap brings both there"
    )
    assert ran.summary.exit_code == 3
    assert len(house.store.sent) == 21
    again = await house.run(asked)
    assert not house.store.sent
    assert refused(again) == refused(ran)


async def test_a_file_on_record_keeps_its_key_whoever_comes_later(house: House) -> None:
    house.write("dr1/target/x", b"dr1")
    await house.run(remapped(house))
    house.write("edr/target/x", b"edr")  # its remap stands first
    assert refused(await house.run(remapped(house))) == {b"edr/target/x"}
    house.write("dr1/target/x", b"dr1, changed")  # sent again: its record is taken back meanwhile
    house.write("edr/target/x", b"edr, too")
    assert refused(await house.run(remapped(house))) == {b"edr/target/x"}
    assert house.bucket() == {"pre/target/x": b"dr1, changed"}


async def test_a_file_that_is_no_more_keeps_its_key_too(house: House) -> None:
    gone = house.write("dr1/target/x", b"dr1")
    await house.run(remapped(house))
    gone.unlink()
    house.write("edr/target/x", b"edr")
    assert refused(await house.run(remapped(house))) == {b"edr/target/x"}
    assert house.bucket() == {"pre/target/x": b"dr1"}


async def test_a_file_that_was_where_others_are_brought_is_not_overwritten(house: House) -> None:
    house.write("target/x", b"own")
    house.write("edr/target/x", b"edr")
    assert refused(await house.run(remapped(house))) == {b"edr/target/x"}
    assert house.bucket() == {"pre/target/x": b"own"}


async def test_what_is_not_sent_takes_no_key(house: House) -> None:
    os.mkfifo(house.write("edr/target/fifo", b"").with_name("pipe"))
    (house.root / "edr/target/link").symlink_to("fifo")
    house.write("edr/target/left.out", b"edr")
    house.write("edr/target/directory/y", b"")
    for name in ("pipe", "link", "left.out", "directory"):
        house.write(f"dr1/target/{name}", b"dr1")
    ran = await house.run(remapped(house, rules=(Rule(include=False, pattern="/edr/**/left.out"),)))
    assert not refused(ran)
    assert house.bucket()["pre/target/left.out"] == b"dr1"
    assert {"pre/target/pipe", "pre/target/link", "pre/target/directory", "pre/target/directory/y"} <= house.bucket().keys()


@pytest.mark.parametrize(("symlinks", "clash"), [(Symlinks.SKIP, False), (Symlinks.RECORD, True), (Symlinks.FOLLOW, True)])
async def test_a_link_takes_a_key_where_it_is_sent(house: House, symlinks: Symlinks, clash: bool) -> None:  # noqa: FBT001  a parameter
    house.write("elsewhere", b"edr")
    (house.root / "edr/target").mkdir(parents=True)
    (house.root / "edr/target/x").symlink_to("../../elsewhere")
    house.write("dr1/target/x", b"dr1")
    assert refused(await house.run(remapped(house, symlinks=symlinks))) == ({b"dr1/target/x"} if clash else set())


async def test_a_large_file_that_is_being_uploaded_has_its_key(house: House) -> None:
    large = os.urandom(12 * PART)
    house.write("dr1/target/x", large)
    drains: list[Callable[[], None]] = []

    def drain(sent: Sent) -> None:
        if sent.op == "UploadPart":
            drains[0]()

    house.store.after = drain
    ran = await house.run(remapped(house), watch=lambda mirror, _: drains.append(mirror.drain))
    assert ran.outcome(b"dr1/target/x") is Outcome.PENDING
    house.store.after = lambda _: None
    house.write("edr/target/x", b"edr")
    assert refused(await house.run(remapped(house, subdirs=("edr",)))) == {b"edr/target/x"}  # without a look at the other
    assert refused(await house.run(remapped(house))) == {b"edr/target/x"}
    assert house.bucket() == {"pre/target/x": large}


async def test_what_is_in_the_bucket_keeps_its_key(house: House) -> None:
    house.write("edr/target/x", b"edr")
    house.write("edr/other/y", b"y")
    await house.run(remapped(house, BOTH[:1]))
    with pytest.raises(
        UsageError, match=r"'edr/target' was mirrored to 'target', and would go to 'edr/target' now \(give --remap"
    ):
        await house.run()
    with pytest.raises(UsageError, match=r"'edr/other' was mirrored to 'edr/other'.*leave --remap edr/other=o out"):
        await house.run(remapped(house, (*BOTH, Remap("edr/other", "o"))))
    house.write("dr1/target/z", b"dr1")
    ran = await house.run(remapped(house))  # a release that is new may bring its own
    assert ran.summary.exit_code == 0
    assert house.bucket().keys() == {"pre/target/x", "pre/edr/other/y", "pre/target/z"}
    with pytest.raises(UsageError, match=r"'dr1/target' was mirrored to 'target'"):
        await house.run(remapped(house, BOTH[:1]))


async def test_a_dry_run_says_where_and_keeps_nothing(house: House) -> None:
    house.write("edr/target/x", b"edr")
    house.write("dr1/target/x", b"dr1")
    ran = await house.run(remapped(house, dry_run=True))
    assert {path: (event.key, event.outcome) for path, event in ran.settled.items()} == {
        b"edr/target/x": ("pre/target/x", Outcome.PENDING),
        b"dr1/target/x": ("pre/target/x", Outcome.REFUSED),
    }
    await house.run()
    assert house.bucket().keys() == {"pre/edr/target/x", "pre/dr1/target/x"}


async def test_adopting_looks_where_the_remap_leads(house: House) -> None:
    house.write("edr/target/x", b"edr")
    await house.run(remapped(house))
    journal = house.settings.journal
    assert journal is not None
    journal.unlink()
    ran = await house.run(remapped(house, adopt=True, send=False, probe=False))
    assert ran.outcome(b"edr/target/x") is Outcome.ADOPTED
    with pytest.raises(UsageError, match="was mirrored to 'target'"):
        await house.run()


async def test_a_file_cannot_be_remapped(house: House) -> None:
    house.write("edr/target", b"")
    with pytest.raises(UsageError, match="'edr/target' is a file"):
        await house.run(remapped(house))


async def test_an_upload_that_is_left_over_is_looked_for_where_the_remap_leads(house: House) -> None:
    large = house.write("edr/target/x", os.urandom(3 * PART))

    def last(sent: Sent) -> None:
        if sent.op == "UploadPart" and sent.part == 3:
            raise ServerFaultError("no", op="UploadPart")

    house.store.before = last
    await house.run(remapped(house))
    house.store.before = lambda _: None
    large.unlink()
    ran = await house.run(remapped(house))
    assert [event.text for event in ran.events if isinstance(event, Notice) and "'pre/target/x'" in event.text]
    found = await leftovers(house)
    assert {key: each.whose for key, each in found.items()} == {"pre/target/x": Whose.ORPHAN}


async def test_what_is_exported_and_forecast_has_the_same_keys(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    house.write("edr/target/x", b"edr")
    house.write("dr1/target/a", b"dr1")
    await house.run(remapped(house))
    assert await asyncio.to_thread(main, ["export", "--journal", str(house.settings.journal), "--format", "csv"]) == 0
    keys = [line.split(",")[1].strip('"') for line in capfd.readouterr().out.splitlines()]
    assert keys[-2:] == ["pre/target/a", "pre/target/x"]
    house.write("edr/target/a", b"edr")
    forecast = await asyncio.to_thread(Forecaster(remapped(house)).run)
    assert forecast.counts == {Outcome.UNCHANGED: 2, Outcome.REFUSED: 1}
    assert (await asyncio.to_thread(Forecaster(remapped(house, subdirs=("dr1",))).run)).counts == {Outcome.UNCHANGED: 1}
    with pytest.raises(UsageError, match="was mirrored to 'target'"):
        await asyncio.to_thread(Forecaster(house.settings).run)
