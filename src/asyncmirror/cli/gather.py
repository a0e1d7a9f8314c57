"""How a command line and an environment become a `Settings` and an `Output`.

Owns what wins over what: a flag beats its variable (``--part-size``: ``ASYNCMIRROR_PART_SIZE``), which beats a mirror file, and
that the default; an empty variable is no variable. What may repeat is joined: rules of the environment come after those of
the command line, the file's last, and metadata gives way to what is stronger key by key. Knows the options only through
their table.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from asyncmirror.cli import paths, read
from asyncmirror.cli.options import Option
from asyncmirror.errors import UsageError
from asyncmirror.http.address import Address
from asyncmirror.plan.prices import Quote, quote
from asyncmirror.plan.remap import Remaps
from asyncmirror.plan.schedule import Schedule
from asyncmirror.settings import Collection, Connection, Destination, ObjectOptions, Settings, Tuning, Verification
from asyncmirror.sizes import KIB, MIB, format_size

_LEAST_LOG = 64 * KIB
_MOST_LOGS = 1000
_Section = TypeVar("_Section", Connection, ObjectOptions, Tuning, Settings, Verification, Collection, "Output")

_PRICES = quote()


@dataclass(frozen=True, slots=True)
class Output:
    """What is told while it runs, to whom, and how."""

    json: bool = False
    quiet: bool = False
    progress: bool = True
    log_level: str = "warning"
    log_file: Path | None = None
    log_format: str = "json"  # of the file
    log_max_size: int = 100 * MIB  # from which on the file is put away; 0: never
    log_keep: int = 5  # files put away
    http: Address | None = None  # where a page is served
    http_token_file: Path | None = None
    notify: tuple[str, ...] = ()  # commands and URLs

    def __post_init__(self) -> None:
        if 0 < self.log_max_size < _LEAST_LOG:
            least = format_size(_LEAST_LOG)
            raise UsageError(f"--log-max-size is {format_size(self.log_max_size)}; it must be {least} or more, or off")
        if not 1 <= self.log_keep <= _MOST_LOGS:
            raise UsageError(f"--log-keep is {self.log_keep}; it must be from 1 to {_MOST_LOGS}")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A whole `sync` as it was asked for."""

    settings: Settings
    output: Output
    watch: Schedule | None = None  # when it is run again; None: never
    prices: Quote = _PRICES  # what a dry run reckons with
    reread: "Callable[[], Invocation] | None" = None  # reads all of it again, where a mirror file is part of it
    notices: tuple[str, ...] = ()  # what is in the mirror file and can't be heeded
    goes_on: bool = False  # whether more would be run after it, so that a signal at its very end must not be lost


class Given(NamedTuple):
    """An option with the text that it was given, and where: the flag or the variable."""

    option: Option
    text: str
    origin: str

    def value(self) -> object:
        """What the text means.

        Raises:
            UsageError: Nothing at all. The message begins with the flag or the variable.
        """
        try:
            return self.option.read(self.text)
        except UsageError as error:
            raise UsageError(f"{self.origin}: {error.message}", hint=error.hint) from None


class _Record(argparse.Action):
    """Keeps what was given, as text, in the order of the command line."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, option: Option, switch: str = "", **rest: Any) -> None:
        super().__init__(option_strings, dest, nargs=0 if switch else None, default=(), **rest)
        self.option = option
        self.switch = switch

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002  argparse passes it by position
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        text = values if isinstance(values, str) else self.switch
        namespace.given = (*namespace.given, Given(self.option, text, option_string or self.option.flags[-1]))


def add_options(parser: argparse.ArgumentParser, groups: Mapping[str, Iterable[Option]]) -> None:
    """Give a parser these options. What it finds will stand in the namespace as ``given``."""
    for title, options in groups.items():
        group = parser.add_argument_group(title)
        for option in options:
            if option.metavar:
                group.add_argument(
                    *option.flags, dest="given", action=_Record, option=option, help=option.help, metavar=option.metavar
                )
            else:
                group.add_argument(*option.flags, dest="given", action=_Record, option=option, switch="yes", help=option.help)
                group.add_argument(
                    option.opposite, dest="given", action=_Record, option=option, switch="no", help=argparse.SUPPRESS
                )


def from_environment(options: Iterable[Option], environ: Mapping[str, str]) -> tuple[Given, ...]:
    """What the environment gives. An option that may repeat has one value per line of its variable."""
    found: list[Given] = []
    for option in options:
        text = environ.get(option.variable, "")
        texts = text.split("\n") if option.joined else [text]
        found += [Given(option, each, option.variable) for each in texts if each]
    return tuple(found)


def gather(flags: Sequence[Given], variables: Sequence[Given], filed: Sequence[Given] = ()) -> "Gathered":
    """Read all that was given and sort it by section; `filed` is what a mirror file gives, weaker than a variable.

    Raises:
        UsageError: A text means nothing to its option.
    """
    named = {given.option.name for given in flags}
    weaker: list[Given] = []
    for layer in (variables, filed):
        weaker += [given for given in layer if given.option.joined or given.option.name not in named]
        named |= {given.option.name for given in layer}
    sections: dict[str, dict[str, Any]] = {}
    lists: dict[str, tuple[object, ...]] = {}
    metadata: dict[str, str] = {}
    for given in (*flags, *weaker):
        section, _, name = given.option.field.partition(".")
        match given.value():
            case read.Fields(values):
                sections.setdefault(section, {}).update(values)
            case tuple() as more:
                lists[given.option.field] = (*lists.get(given.option.field, ()), *more)
            case Mapping() as pairs:
                metadata = {**pairs, **metadata} if given in weaker else {**metadata, **pairs}
            case value:
                sections.setdefault(section, {})[name] = value
    for field, joined in lists.items():
        section, _, name = field.partition(".")
        sections.setdefault(section, {})[name] = joined
    if metadata:
        sections.setdefault("objects", {})["metadata"] = MappingProxyType(metadata)
    return Gathered(sections, {given.option.name: given.origin for given in weaker})


class Gathered(NamedTuple):
    """Values by section and field, and what gave those options that no flag gave: a variable, or a key of a mirror file."""

    sections: Mapping[str, Mapping[str, Any]]
    variables: Mapping[str, str]

    def fill(self, defaults: _Section, section: str) -> _Section:
        """The defaults with what was given in their place.

        Raises:
            UsageError: A value is out of bounds. It is named as it was given: by its flag, its variable or its key.
        """
        try:
            return replace(defaults, **self.sections.get(section, {}))
        except UsageError as error:
            message = error.message
            for name, variable in self.variables.items():
                message = message.replace(f"--{name} ", f"{variable} ")
            raise UsageError(message, hint=error.hint) from None

    def output(self) -> Output:
        """How it is told."""
        return self.fill(Output(), "output")

    def settings(self, source: str, destination: str) -> Settings:
        """What is asked.

        Raises:
            UsageError: The source is no directory, the destination no S3 URL, or a value is out of bounds.
        """
        settings = Settings(
            source=paths.source(source),
            destination=Destination.parse(destination),
            connection=self.fill(Connection(), "connection"),
            objects=self.fill(ObjectOptions(), "objects"),
            tuning=self.fill(Tuning(), "tuning"),
        )
        settings = self.fill(settings, "settings")
        Remaps(settings.remaps)  # each by itself was looked at when it was read
        return settings
