"""Checksum files in DESI's naming: valid, and wrong in every way."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.audit.merge import Verdict
from asyncmirror.formats import sidecars
from asyncmirror.formats.sidecars import Sum, sums
from asyncmirror.settings import Symlinks
from tests.audit.test_verify import verify
from tests.engine.house import House

DIGEST = "0" * 64


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A reduction with a file for a directory, one for a tree, and raw data."""
    house = House(tmp_path)
    for name in (
        "redux/healpix/a.fits",
        "redux/healpix/b c.fits",
        "redux/run/x",
        "redux/run/logs/y",
        "raw/0001/desi-1.fits.fz",
    ):
        house.write(name, name.encode())
    house.write("redux/healpix/deeper/not-counted", b"")
    seal(house, "redux/healpix/redux_iron_healpix.sha256sum", "a.fits", "b c.fits")
    seal(house, "redux/run/redux_iron_run.sha256sum", "./x", "logs/y")
    seal(house, "raw/0001/checksum-0001.sha256sum", "desi-1.fits.fz")
    return house


def seal(house: House, sidecar: str, *names: str) -> None:
    """What sha256sum itself writes."""
    where = (house.root / sidecar).parent
    told = subprocess.run(["sha256sum", "--", *names], cwd=where, capture_output=True, check=True).stdout
    house.write(sidecar, told)


async def told(house: House) -> dict[str, tuple[Verdict, str]]:
    await house.run()
    done = await verify(house, sidecars=True)
    return {os.fsdecode(finding.path): (finding.verdict, finding.reason) for finding in done.findings.values()}


async def test_all_is_well(house: House) -> None:
    assert await told(house) == {}
    done = await verify(house, sidecars=True)
    assert (done.report.sums, done.report.exit_code) == (5, 0)
    assert (await verify(house)).report.sums == 0


async def test_a_file_that_was_rotten_before_it_was_sent(house: House) -> None:
    house.write("redux/run/logs/y", b"rotten")
    damaged = (Verdict.DAMAGED, "its SHA-256 is not that of the checksum file (redux_iron_run.sha256sum)")
    assert await told(house) == {"redux/run/logs/y": damaged}
    assert (await verify(house, sidecars=True)).report.exit_code == 3


async def test_a_file_that_is_gone(house: House) -> None:
    (house.root / "raw/0001/desi-1.fits.fz").rename(house.root / "raw/0001/other")
    gone = (Verdict.CHANGED, "it is named in a checksum file, and not in the source (checksum-0001.sha256sum)")
    assert await told(house) == {"raw/0001/desi-1.fits.fz": gone}


@pytest.mark.parametrize("name", ["redux/healpix/new", "redux/run/logs/new"])
async def test_a_file_that_no_line_names(house: House, name: str) -> None:
    house.write(name, b"")
    (path, (verdict, reason)), *others = (await told(house)).items()
    assert not others
    assert Path(path).name in ("redux_iron_healpix.sha256sum", "redux_iron_run.sha256sum")
    assert (verdict, reason) == (Verdict.INVALID, "it has 2 lines, and 3 other files stand with it")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{DIGEST}  ../../../etc/passwd\n", "line 1 names something outside of its directory"),
        (f"{DIGEST}  /etc/passwd\n", "line 1 names something outside of its directory"),
        (f"{DIGEST}  a.fits\nnonsense\n", "line 2 is no checksum"),
    ],
)
async def test_a_checksum_file_that_is_none(house: House, text: str, reason: str) -> None:
    house.write("redux/healpix/redux_iron_healpix.sha256sum", text.encode())
    assert (await told(house))["redux/healpix/redux_iron_healpix.sha256sum"] == (Verdict.INVALID, reason)


@given(
    st.binary(min_size=1, max_size=20).filter(lambda name: not {b"", b".", b".."} & set(name.split(b"/")) and b"\0" not in name)
)
def test_every_name_that_sha256sum_escapes_is_read(name: bytes) -> None:
    digest = hashlib.sha256(name).digest()
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    line = (b"\\" if escaped != name else b"") + digest.hex().encode() + b"  " + escaped + b"\n"
    assert list(sums([line[:30], line[30:]])) == [Sum(name, digest)]
    assert sidecars.line(name, digest) == line


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        (b"", b"edr.sha256sum"),
        (b"target", b"target.sha256sum"),
        (b"target/catalogs", b"target_catalogs.sha256sum"),
        (b"spectro", b"spectro.sha256sum"),
        (b"spectro/redux/iron/healpix", b"redux_iron_healpix.sha256sum"),
        (b"edr/spectro/redux", b"redux.sha256sum"),
        (b"spectro/data/20210405/00083715", b"checksum-00083715.sha256sum"),
        (b"20210405/00083715", b"checksum-00083715.sha256sum"),
        (b"spectro/data/20210405", b"data_20210405.sha256sum"),
        (b"spectro/data/2021040/00083715", b"data_2021040_00083715.sha256sum"),
        (b"line\n/20210405/00083715", b"checksum-00083715.sha256sum"),
    ],
)
def test_desis_name_of_a_checksum_file(directory: bytes, name: bytes) -> None:
    assert sidecars.name(directory, b"edr") == name


async def test_checksum_files_behind_links_are_held_against_what_the_links_lead_to(house: House) -> None:
    house.settings = house.options(symlinks=Symlinks.FOLLOW)
    (house.root / "latest").symlink_to("redux")
    (house.root / "redux/run/again").symlink_to("../../raw")
    (house.root / "redux/run/redux_iron_run.sha256sum").unlink()
    seal(house, "redux/run/redux_iron_run.sha256sum", "x", "logs/y", "again/0001/desi-1.fits.fz")
    assert await told(house) == {}
    assert (await verify(house, sidecars=True)).report.sums == 13
    house.write("raw/0001/another", b"")
    found = await told(house)
    assert {verdict for verdict, _ in found.values()} == {Verdict.INVALID}
    assert found.keys() == {f"{where}/0001/checksum-0001.sha256sum" for where in ("raw", "redux/run/again", "latest/run/again")}
