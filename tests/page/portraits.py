"""Pictures of the page for the documentation: a real run against the strict server, seen by a real browser.

``scripts/screenshots [--all DIR]`` writes docs/page-light.png and docs/page-dark.png; with ``--all``, every combination of
light and dark, desktop and phone, during a run and after it, into a directory, to be looked at.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.command import COMMAND, Site
from tests.acceptance.servers import serve
from tests.page.browser import Browser, browsing

DOCS = Path(__file__).resolve().parents[2] / "docs"
_FAULTS = {
    "faults": [
        {"op": "PutObject", "kind": "status", "status": 400, "code": "InvalidRequest", "key": "*/bad-*"},
        {"op": "PutObject", "kind": "slow-down", "first": 2500, "times": 12},
        {"op": "PutObject", "kind": "slow-down", "first": 9000, "times": 30},
    ]
}
_SMALL, _BETWEEN, _LARGE = 9_000, 250, 12
_FILES = 6_500
"""So many are there when it is looked at."""


class Look(NamedTuple):
    """What the page is looked at with."""

    name: str
    width: int
    height: int
    phone: bool
    dark: bool


LOOKS = (
    Look("desktop-light", 1180, 1130, phone=False, dark=False),
    Look("desktop-dark", 1180, 1130, phone=False, dark=True),
    Look("phone-light", 390, 844, phone=True, dark=False),
    Look("phone-dark", 390, 844, phone=True, dark=True),
)


def files(number: int, seed: int) -> Iterator[tuple[str, int]]:
    """Paths and sizes as in a release of a survey: many small files, some of MiB, few large ones."""
    draw = random.Random(seed)
    for at in range(number):
        tile = 1000 + at // 60
        yield (
            f"spectro/redux/iron/tiles/{tile}/2021{draw.randrange(1000)}/coadd-{at % 10}-{tile}.fits",
            int(draw.lognormvariate(10.4, 1)),
        )
    for at in range(number * _BETWEEN // _SMALL):
        yield f"spectro/redux/iron/exposures/{at // 20:05}/cframe-{at:05}.fits.gz", draw.randrange(1 << 20, 6 << 20)
    for at in range(number * _LARGE // _SMALL):
        yield f"spectro/data/2021{at:04}/desi-{at:08}.fits.fz", draw.randrange(40 << 20, 120 << 20)


def grow(tree: Path, number: int, seed: int) -> None:
    """More files. A block of each is written, the rest is a hole: nobody needs the disk full."""
    for name, size in files(number, seed):
        path = tree / f"{seed:02}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(os.urandom(min(size, 4096)))
            file.truncate(size)


def spoil(tree: Path) -> None:
    """What ends up among the problems."""
    survey = tree / "survey"
    survey.mkdir()
    for name in (b"bad-\xff\xfe.fits", b"bad-<script>alert(1)<.fits", "bad-\u202egpj.exe".encode(), b"bad-two\nlines.txt"):
        with open(os.fsencode(survey) + b"/" + name, "wb") as file:
            file.write(b"x")
    os.mkfifo(survey / "pipe")
    (survey / "latest").symlink_to("/nowhere")


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A directory with a name that looks well in a picture; it is taken away at the end."""
    path = Path(tempfile.gettempdir(), "survey")
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


async def run(environment: Mapping[str, str], *arguments: str | Path) -> asyncio.subprocess.Process:
    """Begin a sync; its stderr can be read."""
    return await asyncio.create_subprocess_exec(
        *(COMMAND, "sync", *arguments, "--concurrency", "24"), env=environment, stderr=asyncio.subprocess.PIPE
    )


async def shoot(browser: Browser, where: Mapping[Look, Path], *, whole: bool) -> None:
    """Look with each, and keep what is seen."""
    for look, path in where.items():
        await browser.size(look.width, look.height, phone=look.phone, dark=look.dark, scale=2 if look.phone else 1)
        await browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        await browser.photograph(path, whole=whole)


async def main(every: Path | None) -> None:
    """Make them."""
    with (
        place() as home,
        serve("asyncmirror.testing", "--bucket=desidata", "--latency-ms=40", f"--faults={json.dumps(_FAULTS)}") as server,
    ):
        tree, environment = home / "edr", Site(server.url, "desidata").environment(home)
        destination = ("s3://desidata/edr", "--quiet")
        for seed in (1, 2):  # runs to look back at
            grow(tree, 400 * seed, seed)
            await (await run(environment, tree, *destination)).communicate()
        grow(tree, _SMALL, 3)
        spoil(tree)
        process = await run(environment, tree, "s3://desidata/edr", "--http", "127.0.0.1:0", "--no-progress")
        assert process.stderr is not None
        found = re.search(rb"http://\S+", await process.stderr.readline())
        assert found is not None
        async with browsing(home / "profile") as browser:
            await browser.size(LOOKS[0].width, LOOKS[0].height)
            await browser.open(found[0].decode())
            await browser.until("document.getElementById('link')?.dataset.state === 'live'")
            await browser.until(f"Number(document.querySelector('#outcomes .n')?.textContent.replace(',', '')) > {_FILES}")
            if every is None:
                await shoot(browser, {LOOKS[0]: DOCS / "page-light.png"}, whole=False)
            else:
                await shoot(browser, {look: every / f"during-{look.name}.png" for look in LOOKS}, whole=True)
            await process.communicate()
            await browser.until("document.getElementById('link').dataset.state === 'ended'")
            if every is None:
                await shoot(browser, {LOOKS[3]: DOCS / "page-dark.png"}, whole=False)
            else:
                await shoot(browser, {look: every / f"after-{look.name}.png" for look in LOOKS}, whole=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description="Takes pictures of the page.")
    parser.add_argument("--all", type=Path, metavar="DIR", help="every look, into this directory")
    sys.exit(asyncio.run(main(parser.parse_args().all)))
