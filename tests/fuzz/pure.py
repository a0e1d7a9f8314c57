"""What needs no set-up: documents, patterns, plans of faults, what a run answers, the texts of options."""

import json
import os
from typing import Any

import orjson
from hypothesis import strategies as st

from asyncmirror.cli import status as shown
from asyncmirror.cli.gather import Given, gather
from asyncmirror.cli.json_lines import dump
from asyncmirror.cli.options import OPTIONS
from asyncmirror.engine.frames import Commit, Done, Drain, Frames, Message, Note, Outcomes, Result, Sent
from asyncmirror.engine.history import Run
from asyncmirror.engine.status import Live, Status, Trouble, Upload, from_plain, to_plain
from asyncmirror.errors import UsageError
from asyncmirror.events import Flight, Progress, Transfer
from asyncmirror.journal.changes import Forgive
from asyncmirror.journal.looks import Ended
from asyncmirror.model import Outcome
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Rule
from asyncmirror.store.wire.document import parse
from asyncmirror.testing import FaultPlan, Kind
from asyncmirror.testing.faults import FaultCount
from tests.fuzz.target import Target, constant, mutated

# Documents

_PROLOGS = st.sampled_from(
    [
        b"",
        b'<?xml version="1.0" encoding="UTF-8"?>',
        b'<?xml version="1.1"?>',
        b'<?xml version="1.0" encoding="UTF-16"?>',
        b'<?xml version="1.0" encoding="hex"?>',
        b'<?xml version="1.0" encoding="none"?>',
        b'<!DOCTYPE e [<!ENTITY a "b">]>',
        b"\xef\xbb\xbf",
    ]
)
_NAMES = st.sampled_from([b"Error", b"Code", b"Message", b"s3:Error", b"a"])
_TEXTS = st.sampled_from([b"", b"SlowDown", b"&a;", b"&#0;", b"&#x1b;", b"<![CDATA[x]]>", b"<!-- -->", b"\x1b", b"x" * 100])
DOCUMENTS = mutated(
    st.builds(
        bytes.__add__,
        _PROLOGS,
        st.recursive(
            _TEXTS | st.binary(max_size=8),
            lambda inner: st.builds(
                lambda name, inside: b"<%s>%s</%s>" % (name, b"".join(inside), name), _NAMES, st.lists(inner, max_size=4)
            ),
        ),
    )
)


def _document(body: bytes) -> None:
    found = parse(body)
    if found is not None:
        assert found.root
        assert all(found.texts), found


# Patterns

_GLOBS = st.lists(st.sampled_from(["*", "**", "a", "b", "/", "?", "[ab]", "[!a]", "\\*", "ab"]), max_size=24).map("".join)
# Many stars, and a name full of what they look for: this took minutes once.
_STARS = st.lists(st.sampled_from(["*a", "*", "**", "*aa", "{a,aa}", "{**,*}", "?", "a"]), max_size=24).map(
    lambda some: "".join(some) + "*b"
)
_ANY_PATTERN = st.text(st.sampled_from("ab/*?[]!^{},\\-&~|#.\udcff") | st.characters(codec="utf-8"), max_size=20)
_PATHS = st.text(st.sampled_from("ab/"), max_size=40).map(str.encode) | st.binary(max_size=40) | st.just(b"a" * 255)


def _pattern(value: tuple[str, bytes]) -> None:
    pattern, path = value
    try:
        filters = Filters([Rule(include=False, pattern=pattern)])
    except UsageError:
        return
    filters.excludes(path)
    filters.prunes(path)


# Plans of faults

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from([kind.value for kind in Kind]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
_FIELDS = (
    "op",
    "kind",
    "key",
    "part",
    "at",
    "first",
    "every",
    "probability",
    "times",
    "after",
    "until",
    "admits",
    "seconds",
    "at_byte",
)
_FAULTS = st.builds(
    lambda kind, more: {"op": "*", "kind": kind, **more},
    st.sampled_from([kind.value for kind in Kind]),
    st.dictionaries(st.sampled_from(_FIELDS), _VALUES, max_size=3),
)
_PLANS = st.fixed_dictionaries({}, optional={"seed": _VALUES, "faults": st.lists(_FAULTS, max_size=3) | _VALUES})


def _dump(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer of more than 64 bits
        return b"{}"


def _plan(text: bytes) -> None:
    try:
        plan = FaultPlan.from_json(text)
    except (ValueError, TypeError):
        return
    assert FaultPlan.from_json(plan.to_json()) == plan
    count = FaultCount(plan)
    for number in range(5):
        count.next("PutObject", "key", number, elapsed=1.0)


# What a run answers when it is asked for its status

STATUS = Status(
    "/tree",
    "s3://b",
    "",
    "/j",
    None,
    Run(1.5, 2.5, "host", 7, "0.1", {"exit_code": 3, "stopped": False}),
    {Outcome.COMPLETE: 1, Outcome.FAILED: 1},
    {Outcome.COMPLETE: 5, Outcome.FAILED: 2},
    (Upload(b"\xff/a", 10, "id", 5),),
    (Trouble(b"\xfe\n", Outcome.FAILED, "why"),),
    looked=Ended("deep", 1.5, 2.5, 3),
    live=Live(
        Progress(settled={Outcome.COMPLETE: 1}, slowest=(Transfer(b"\xff", 1, 2, 0.5),), flight=Flight(1, 2, 3)),
        {"concurrency": "64", "max-memory": "512MiB"},
        1.5,
    ),
)
VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just(10**400) | st.just("\x1b[2J"),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["0", "7", "exit_code", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def replaced(draw: st.DrawFn, original: str) -> bytes:
    """A document of JSON with some of its values replaced, at any depth."""
    answer: Any = json.loads(original)
    for _ in range(draw(st.integers(1, 3))):
        inside: Any = answer
        while True:
            places: list[Any] = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            if not places:
                break
            place = draw(st.sampled_from(places))
            if isinstance(inside[place], list | dict) and draw(st.booleans()):
                inside = inside[place]
                continue
            inside[place] = draw(VALUES)
            break
    return json.dumps(answer).encode()


def one_line(text: str) -> None:
    """What may stand on a screen."""
    assert text.isprintable(), text


def _status(text: bytes) -> None:
    try:
        status = from_plain(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    for line in shown.lines(status):
        one_line(line)
    dump(shown.to_json(status))


# Messages between the run and its processes

_MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.just(Drain()),
    st.builds(Note, st.text(max_size=300)),
    st.builds(Commit, st.integers(), st.builds(Forgive, st.integers(), st.binary(max_size=300))),
    st.builds(Done, st.integers(), st.none(), st.builds(Sent, st.integers(), st.integers(), st.integers())),
    st.builds(
        Outcomes,
        st.lists(
            st.builds(
                Result, st.integers(), st.integers(), st.sampled_from(Outcome), st.integers(), st.text(max_size=9), st.none()
            )
        ),
    ),
)


class _Wire:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False


def _frames(value: tuple[list[Message], list[float]]) -> None:
    messages, cuts = value
    sender, wire = Frames(lambda _: None, lambda: None), _Wire()
    sender.connection_made(wire)  # type: ignore[arg-type]  # what a transport is needed for
    for message in messages:
        sender.send(message)
    received: list[Message] = []
    receiver = Frames(received.append, lambda: None)
    places = sorted({int(cut * len(wire.written)) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(wire.written)], strict=True):
        receiver.data_received(wire.written[start:end])
    assert received == messages


# The texts of options

_ALL = [option for group in OPTIONS.values() for option in group]
_WORDS = st.sampled_from(
    ["", "0", "-1", "1e999", "nan", "9" * 5000, "5MiB", "9" * 400 + "TiB", "0.5s", "yes", "a=b", "a=b,a=c", "{", "[", "http://[",
     "http://a..b", "http://u:p@h", "https://h:99999", "\udcff", "/dev/null/x", "x" * 5000, "٣", "²", "☃"]
)  # fmt: skip
_OPTION_TEXTS = _WORDS | st.text(max_size=30).filter(lambda text: "\0" not in text and "\n" not in text)


def _options(given: list[tuple[int, str]]) -> None:
    try:
        found = gather([Given(_ALL[index], text, _ALL[index].flags[-1]) for index, text in given], ())
        found.settings(os.sep, "s3://bucket/prefix")
        found.output()
    except UsageError as error:
        assert error.exit_code == 2
        assert str(error)


TARGETS: tuple[Target[Any], ...] = (
    Target("document", DOCUMENTS, constant(_document), 150),
    Target("pattern", st.tuples(_GLOBS | _STARS | _ANY_PATTERN, _PATHS), constant(_pattern), 200, seconds=20),
    Target("plan", mutated(_PLANS.map(_dump), 1), constant(_plan), 150),
    Target(
        "status",
        replaced(json.dumps(to_plain(STATUS)))
        | mutated(st.just(json.dumps(to_plain(STATUS)).encode()))
        | st.binary(max_size=20),
        constant(_status),
        150,
    ),
    Target("frames", st.tuples(st.lists(_MESSAGES, max_size=5), st.lists(st.floats(0, 1), max_size=9)), constant(_frames), 100),
    Target("options", st.lists(st.tuples(st.integers(0, len(_ALL) - 1), _OPTION_TEXTS), max_size=4), constant(_options), 200),
)
