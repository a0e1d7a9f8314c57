"""A headless Chromium, driven over its DevTools protocol: what a reader of the page sees, and what the page did.

Owns the process, its profile in a directory of its own, and the socket. One tab.
"""

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""The program; None where there is none."""
_PATIENCE = 60.0


class Browser:
    """One tab. `errors` are exceptions and messages of the page's own scripts, `refused` what its policy kept from running."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.errors: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def listen(self) -> None:
        """Take what the browser says, until it says no more."""
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                break
            told = message.json()
            if "id" in told:
                self._asked.pop(told["id"]).set_result(told)
            elif told["method"] == "Runtime.exceptionThrown":
                self.errors.append(str(told["params"]["exceptionDetails"]))
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.errors.append(f"{told['params']['entry']['text']} {told['params']['entry'].get('url', '')}")

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Ask the browser for something."""
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_PATIENCE):
            told = await answer
        assert "error" not in told, (method, told)
        result: dict[str, Any] = told["result"]
        return result

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self.call("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        told = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def fill(self, name: str, text: str) -> None:
        """Write into the field of that id."""
        box = f"document.getElementById({name!r})"
        await self.run(f"{box}.value = {text!r}; {box}.dispatchEvent(new Event('input'))")

    async def until(self, condition: str, seconds: float = _PATIENCE) -> None:
        """Wait until an expression is true, looked at whenever the page changes."""
        waiting = f"""new Promise((done) => {{
            const look = () => {{ if ({condition}) {{ watch.disconnect(); done(true); }} }};
            const watch = new MutationObserver(look);
            watch.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
            look();
        }})"""
        async with asyncio.timeout(seconds):
            # While a page is being loaded, there is another one in whose place it comes.
            while True:
                with contextlib.suppress(AssertionError):
                    if await self.run(f"document.readyState === 'complete' && {waiting}"):
                        return
                await asyncio.sleep(0.05)

    async def size(self, width: int, height: int, *, phone: bool = False, dark: bool = False, scale: float = 1) -> None:
        """Be a window or a phone of this size, in light or dark."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def photograph(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen as a PNG; `whole`: all that there is to scroll to."""
        told = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(told["data"]))


@contextlib.asynccontextmanager
async def browsing(profile: Path) -> AsyncIterator[Browser]:
    """A browser until the block ends, with an empty profile."""
    assert CHROMIUM is not None
    flags = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--hide-scrollbars",
    )
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, *flags, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "HOME": str(profile)},
    )
    try:
        async with asyncio.timeout(_PATIENCE), ClientSession() as session:
            port = await _port(process)
            while True:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    tabs = [tab for tab in await answer.json() if tab["type"] == "page"]
                if tabs:
                    break
                await asyncio.sleep(0.05)
        async with ClientSession() as session, session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            browser = Browser(socket)
            listening = asyncio.create_task(browser.listen())
            for domain in ("Page", "Runtime", "Log"):
                await browser.call(f"{domain}.enable")
            try:
                yield browser
            finally:
                await socket.close()
                await listening
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.communicate()


async def _port(process: asyncio.subprocess.Process) -> str:
    """Where it listens: it says so on stderr."""
    assert process.stderr is not None
    async for line in process.stderr:
        if b"DevTools listening on ws://" in line:
            return line.decode().partition("127.0.0.1:")[2].partition("/")[0]
    raise AssertionError("the browser ended")
