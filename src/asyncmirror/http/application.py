"""What is answered: every address that there is, who may ask for it, and the headers that keep a browser in bounds.

Owns the routes and the guard before them. Everything is read-only: GET and HEAD, no request changes anything, so that there is
nothing to forge; and no other site's page may read an answer, because none names one (no CORS). What is told is `api`'s and
`metrics`', who may ask is `access`' to decide. Knows no thread.
"""

import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client.aiohttp import make_aiohttp_handler

from asyncmirror.errors import JournalError
from asyncmirror.http import api, assets
from asyncmirror.http.access import Access, Verdict
from asyncmirror.http.health import Health
from asyncmirror.http.history import MINUTES, History
from asyncmirror.http.metrics import registry
from asyncmirror.http.picture import Picture
from asyncmirror.http.stream import MOST, Streams
from asyncmirror.journal import pages
from asyncmirror.journal.pages import Cursor, Filter, Page
from asyncmirror.model import PROBLEMS, Outcome

T = TypeVar("T")
_POINTS = 600
_MOST_POINTS = 2000
_PAGE = 100
_MOST_PAGE = 500
_RUNS = 50
_MOST_RUNS = 1000
_LONGEST_TEXT = 200
_WEEKS = 60 * MINUTES
_HOUR = 3600

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Source(Protocol):
    """What is told of."""

    @property
    def picture(self) -> Picture:
        """What is known now."""
        ...

    @property
    def history(self) -> History:
        """How fast it was."""
        ...

    @property
    def streams(self) -> Streams:
        """Who listens."""
        ...

    def health(self) -> Health:
        """Whether all is well."""
        ...

    def status(self) -> bytes:
        """The JSON of `api.status`."""
        ...

    def ask(self, question: Callable[..., T]) -> Awaitable[T]:
        """Have the journal answer.

        Raises:
            JournalError: It can't, or is not open at this moment.
        """
        ...


def application(source: Source, access: Access) -> web.Application:
    """The application that tells of a source to those who may look."""
    made = web.Application(middlewares=[_guard(access)], client_max_size=0)
    answers = _Answers(source, access)
    made.add_routes(
        [
            web.get("/", answers.page),
            web.get("/assets/{name}", answers.asset),
            web.get("/healthz", answers.healthz),
            web.get("/metrics", make_aiohttp_handler(registry(lambda: source.picture, source.health))),
            web.get("/api/status", answers.status),
            web.get("/api/history", answers.history),
            web.get("/api/problems", answers.problems),
            web.get("/api/runs", answers.runs),
            web.get("/api/events", answers.events),
        ]
    )

    async def harden(_: web.Request, response: web.StreamResponse) -> None:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.pop("Server", None)

    made.on_response_prepare.append(harden)
    return made


def _guard(access: Access) -> Middleware:
    """Refuses what may not be asked, before anything is looked at."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD"))
        verdict = access.judge(request.headers)
        if verdict is Verdict.WRONG_HOST:
            return _refusal(421, "this name is not this machine's; a reverse proxy needs a token: docs/monitoring.md")
        # The page's files are no secret, and the form that asks for the token needs its style.
        if verdict is Verdict.NO_TOKEN and request.path != "/" and not request.path.startswith("/assets/"):
            response = _refusal(401, "a token is needed")
            response.headers["WWW-Authenticate"] = 'Bearer realm="asyncmirror"'
            return response
        return await handler(request)

    return guard


class _Answers:
    """One handler for each address."""

    def __init__(self, source: Source, access: Access) -> None:
        self._source = source
        self._access = access
        self._assets = assets.load()

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The page; or the form that asks for the token, which is exchanged for a cookie and taken out of the address."""
        shown = request.query.get("token")
        if self._access.needs_token and shown is not None:
            if not self._access.accepts(shown):
                return self._file(request, "token.html", status=401)
            response = web.Response(status=303, headers={"Location": "./"})
            secure = request.headers.get("X-Forwarded-Proto", "").lower() == "https"
            response.set_cookie(
                self._access.cookie_name, self._access.cookie, httponly=True, samesite="Strict", secure=secure, path="/"
            )
            return response
        if self._access.judge(request.headers) is not Verdict.ADMITTED:
            return self._file(request, "token.html", status=401)
        return self._file(request, "page.html")

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """A file of the page."""
        name = request.match_info["name"]
        if name not in self._assets or name.endswith(".html"):
            raise web.HTTPNotFound
        return self._file(request, name)

    def _file(self, request: web.Request, name: str, status: int = 200) -> web.Response:
        asset = self._assets[name]
        headers = {"ETag": f'"{asset.tag}"', "Cache-Control": "no-cache"}
        if status == 200 and any(tag.value == asset.tag for tag in request.if_none_match or ()):  # noqa: PLR2004  HTTP's OK
            return web.Response(status=304, headers=headers)
        return web.Response(body=asset.body, status=status, content_type=asset.content_type, charset="utf-8", headers=headers)

    async def healthz(self, _: web.Request) -> web.StreamResponse:
        """Whether all is well, for supervisors."""
        health = self._source.health()
        if health.good:
            return web.Response(text="ok\n")
        return web.Response(text=health.reason + "\n", status=503)

    async def status(self, _: web.Request) -> web.StreamResponse:
        """How far it is."""
        return _json(self._source.status())

    async def events(self, request: web.Request) -> web.StreamResponse:
        """How far it is, told as it happens."""
        if len(self._source.streams) >= MOST:
            return _refusal(503, "too many listen already")
        return await self._source.streams.serve(request, b"event: status\ndata: %s\n\n" % self._source.status())

    async def history(self, request: web.Request) -> web.StreamResponse:
        """How fast it was."""
        seconds = _number(request, "seconds", _HOUR, _WEEKS)
        end = time.time()
        found = self._source.history.series(end - seconds, end, _number(request, "points", _POINTS, _MOST_POINTS))
        return _json(api.dump({"start": end - seconds, "end": end, **api.series(found)}))

    async def problems(self, request: web.Request) -> web.StreamResponse:
        """What is not in the bucket, and why, a page at a time."""
        try:
            after = Cursor.parse(request.query["after"]) if request.query.get("after") else None
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"after: {error}\n") from None
        wanted = Filter(_outcomes(request), request.query.get("q", "")[:_LONGEST_TEXT])
        most = _number(request, "limit", _PAGE, _MOST_PAGE)

        def question(connection: sqlite3.Connection) -> tuple[Page, dict[Outcome, int] | None]:
            counts = pages.problem_counts(connection) if after is None else None
            return pages.problems(connection, wanted, after or Cursor(), most), counts

        return await self._asked(question, lambda answer: api.page(*answer))

    async def runs(self, request: web.Request) -> web.StreamResponse:
        """The runs on record."""
        most = _number(request, "limit", _RUNS, _MOST_RUNS)
        return await self._asked(lambda connection: pages.runs(connection, most), api.runs)

    async def _asked(
        self, question: Callable[[sqlite3.Connection], T], told: Callable[[T], dict[str, object]]
    ) -> web.StreamResponse:
        try:
            answer = await self._source.ask(question)
        except JournalError as error:
            return _refusal(503, error.message)
        except TimeoutError:
            return _refusal(503, "the journal does not answer")
        return _json(api.dump(told(answer)))


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _refusal(status: int, why: str) -> web.Response:
    return web.Response(body=api.dump({"error": why}), status=status, content_type="application/json")


def _number(request: web.Request, name: str, usual: int, most: int) -> int:
    """A number of the query, from 1 to `most`."""
    text = request.query.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise web.HTTPBadRequest(text=f"{name}: write a number from 1 to {most}\n")
    return int(text)


def _outcomes(request: web.Request) -> frozenset[Outcome]:
    """The outcomes that are asked for; each parameter names one."""
    names = {outcome.name.lower(): outcome for outcome in PROBLEMS}
    asked = request.query.getall("outcome", [])
    if unknown := [name for name in asked if name not in names]:
        raise web.HTTPBadRequest(text=f"outcome: {unknown[0]!r} is none of {', '.join(sorted(names))}\n")
    return frozenset(names[name] for name in asked)
