"""The page as a reader has it, in a real browser: a run is followed live, hostile names stay names, a restart is survived."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncmirror.engine.mirror import Mirror
from asyncmirror.errors import RejectedError
from asyncmirror.events import Erasing, Summary
from asyncmirror.http import assets
from asyncmirror.http.address import Address
from asyncmirror.http.site import Site
from asyncmirror.model import Body, Checksum, Properties, Stored
from tests.engine.house import House, Watched
from tests.page.browser import CHROMIUM, Browser, browsing
from tests.page.served import ANYWHERE, HOSTILE, STARTED, TOKEN, progress, summary

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
_GENTLE = "refused"
"""A name that the page shows as it is, so that the test sees when its row is there."""


class Picky(Watched):
    """Takes so many objects, holds the others back until it may go on, and refuses some names for ever."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self.taken = 0
        self.at_once = at_once
        self.held = asyncio.Event()
        self.go_on = asyncio.Event()

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        if not key.startswith("pre/good"):
            raise RejectedError("no \x1b[2J<b>such</b> name", op="PutObject", status=400, code="InvalidRequest")
        self.taken += 1
        if self.taken > self.at_once:
            self.held.set()
            await self.go_on.wait()
        return await super().put_object(key, body, checksum, properties)


def write(house: House, name: bytes) -> None:
    """A file of that path below the root, whatever bytes it is made of."""
    path = os.path.join(bytes(house.root), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"y")


async def follow(mirror: Mirror, site: Site) -> Summary:
    """A run, told to the site as the command tells it."""
    last = None
    async for event in mirror.run():
        site.tell(event)
        site.look(mirror.progress())
        last = event
    assert isinstance(last, Summary)
    return last


@contextlib.asynccontextmanager
async def looking(site: Site, profile: Path) -> AsyncIterator[Browser]:
    async with browsing(profile) as browser:
        await browser.size(1200, 900)
        await browser.open(site.url)
        await browser.until("document.getElementById('link')?.dataset.state === 'live'")
        yield browser


async def rows(browser: Browser, selector: str) -> list[str]:
    found = await browser.run(
        f"JSON.stringify([...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent))"
    )
    texts: list[str] = json.loads(found)
    return texts


async def test_a_run_is_followed_and_no_name_is_more_than_a_name(tmp_path: Path) -> None:
    house = House(tmp_path)
    store = house.store = Picky(at_once=10)
    for number in range(20):
        house.write(f"good/{number}", b"x" * 1000)
    bad = [name.replace(b"\0", b"") for name in (*HOSTILE, _GENTLE.encode())]
    for name in bad:
        await asyncio.to_thread(write, house, name)
    with Site(ANYWHERE, None) as site:
        async with Mirror(house.settings, store) as mirror:
            site.attach(mirror.ask)
            async with looking(site, tmp_path / "profile") as browser:
                await see(mirror, site, store, browser, len(bad))
            site.detach()


async def see(mirror: Mirror, site: Site, store: Picky, browser: Browser, bad: int) -> None:
    """Follow the run with so many bad names in the browser."""
    running = asyncio.create_task(follow(mirror, site))
    await store.held.wait()
    site.look(mirror.progress())
    await browser.until("document.getElementById('state').textContent.startsWith('Mirroring')")
    await browser.until(f"document.getElementById('problem-rows').textContent.includes('{_GENTLE}')")
    site.look(mirror.progress()._replace(erasing=Erasing(50, 20, 5, 1.0)))
    await browser.until("document.getElementById('detail').textContent.startsWith('5 of 20 objects, ')")
    before = await browser.run("document.getElementById('outcomes').textContent")
    store.go_on.set()
    told = await running
    assert told.exit_code == 1
    await browser.until("document.getElementById('headline').textContent.endsWith('not there')")
    await browser.until("document.getElementById('runs').textContent.includes('problems')")
    assert await browser.run("document.getElementById('outcomes').textContent") != before
    names = await rows(browser, "#problem-rows .name")
    assert len(names) == bad
    assert all(name.isprintable() for name in names)
    assert "\\u202egpj.exe" in names
    assert "\\xff\\xfe no UTF-8" in names
    assert set(await rows(browser, "#problem-rows td:last-child")) == {"PutObject: no \\x1b[2J<b>such</b> name"}
    await browser.fill("find", "UTF")
    await browser.until("document.querySelectorAll('#problem-rows tr').length === 1")
    # Nothing of it became an element, and no script but the page's own ran.
    assert await browser.run("document.querySelectorAll('main script, main img, main b').length") == 0
    assert await browser.run("typeof window.ran") == "undefined"
    assert await browser.run("document.title") == f"{bad} entries not there · asyncmirror"
    assert await browser.run("document.querySelectorAll('#chart-bytes path.curve').length") > 0
    assert browser.errors == []


async def test_the_page_goes_on_when_the_process_is_another_one(tmp_path: Path) -> None:
    with contextlib.ExitStack() as first:
        site = first.enter_context(Site(ANYWHERE, TOKEN))
        async with browsing(tmp_path / "profile") as browser:
            await browser.size(390, 844, phone=True, dark=True)
            await browser.open(site.url)
            await browser.until("document.getElementById('token')")
            await browser.fill("token", TOKEN)
            await browser.run("document.forms[0].submit()")
            await browser.until("document.getElementById('link')?.dataset.state === 'live'")
            assert await browser.run("location.search") == ""
            assert await browser.run("document.cookie") == ""  # scripts can't read it
            assert await browser.run("document.documentElement.dataset.theme") == "dark"
            site.tell(STARTED)
            site.tell(summary())
            await asyncio.to_thread(first.close)
            await browser.until("document.getElementById('link').dataset.state === 'ended'")
            assert await browser.run("document.getElementById('headline').textContent") == "All there"
            with Site(Address("127.0.0.1", site.address.port), TOKEN) as second:
                second.tell(STARTED)
                second.look(progress(40))
                await browser.until("document.getElementById('headline').textContent === '40 %'")
                assert await browser.run("document.getElementById('link').dataset.state") == "live"
                # Nothing stands out on a phone.
                assert await browser.run("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("name", sorted(name for name in assets.load() if name.endswith(".js")))
def test_text_becomes_text_only(name: str) -> None:
    source = assets.load()[name].body.decode()
    ways = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "srcdoc", "DOMParser")
    assert not [way for way in ways if way in source]
