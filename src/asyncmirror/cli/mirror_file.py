"""How a mirror file and a command line come together; and `asyncmirror init`, which writes one.

Owns which file is meant, which of its roots is used, which part of the mirror, and which journal: the same whichever root that
is. The file's options are given like flags, weaker than those and than variables. What stands in the file is
`formats.mirror_toml`'s; what the options mean is `cli.options`'.
"""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from asyncmirror.cli import paths, stderr
from asyncmirror.cli.command_options import BATCH, DELETE, PRICES, SILENT, WATCH
from asyncmirror.cli.gather import Gathered, Given, from_environment, gather
from asyncmirror.cli.options import OPTIONS, Option
from asyncmirror.engine.journals import default_journal
from asyncmirror.errors import UsageError
from asyncmirror.formats import mirror_toml
from asyncmirror.formats.mirror_template import TEMPLATE
from asyncmirror.formats.mirror_toml import MirrorFile, Setting
from asyncmirror.formats.output import replacing
from asyncmirror.journal.belongs import Belongs
from asyncmirror.plan.prices import STANDARD
from asyncmirror.settings import Connection
from asyncmirror.store.configured import configured_endpoint
from asyncmirror.text import show_line

_ELSEWHERE = frozenset({"subdir", "remap", "journal", "dry-run"})
"""Flags that have keys of their own in the file, or are no part of a mirror."""
_TABLES: Mapping[str, tuple[Option, ...]] = {
    **{name: OPTIONS[name] for name in ("connection", "objects", "selection", "behaviour")},
    "limits": OPTIONS["tuning"],
    "deletion": DELETE,
    "service": (*WATCH, *OPTIONS["page"], *OPTIONS["service"]),
    "prices": PRICES,
    "batch": tuple(option for option in BATCH if option.name in ("min-size", "max-size")),
}


class Meant(NamedTuple):
    """What is asked, and of which mirror. `source` and `destination` as on a command line; None where they are not told."""

    gathered: Gathered
    source: str | None
    destination: str | None


def meant(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Meant:
    """What a command line without a destination means: a release of the mirror file, or all of it.

    Raises:
        UsageError: The file can't be meant so.
    """
    given, options, variables = _given(arguments, environ)
    gathered = gather(given, variables)
    release: str | None = arguments.source
    file = _file(gathered)
    if file is None:
        return Meant(gathered, release, None)
    unheeded = _unheeded(gathered, release)
    denied = gathered.sections.get("settings", {}).get("delete") is False
    heeded = options - unheeded
    gathered = _with_prices(file, heeded, gather(given, variables, tuple(_givens(file, heeded))), (given, variables))
    asked = dict(gathered.sections.get("settings", {}))
    asked["remaps"] = (*file.remaps, *asked.get("remaps", ()))
    asked["within"] = file.releases
    if release is not None:
        _check_release(file, release)
        asked["subdirs"] = tuple(f"{release}/{subdir}" for subdir in asked.get("subdirs", ())) or (release,)
    if "journal" not in asked:
        asked["journal"] = file.journal or _journal(file, gathered)
    told = () if denied else tuple(_told(file, options & unheeded))
    mirror = {**gathered.sections.get("mirror", {}), "roots": file.roots, "unheeded": told}
    gathered = gathered._replace(sections={**gathered.sections, "settings": asked, "mirror": mirror})
    return Meant(gathered, os.fspath(_root(file, gathered)), str(file.destination))


def knows(arguments: argparse.Namespace, environ: Mapping[str, str], release: str) -> bool:
    """Whether there is a mirror file, which has this release then.

    Raises:
        UsageError: It has others, or can't be meant so.
    """
    given, _, variables = _given(arguments, environ)
    file = _file(gather(given, variables))
    if file is not None:
        _check_release(file, release)
    return file is not None


def tree(arguments: argparse.Namespace, environ: Mapping[str, str], name: str) -> tuple[Gathered, str]:
    """What `find` and `batch` mean by the name of a release: its directory, and what the mirror file says of sizes and rules.

    Raises:
        UsageError: The file can't be meant so.
    """
    given, options, variables = _given(arguments, environ)
    gathered = gather(given, variables)
    file = None if os.path.lexists(name) else _file(gathered)
    if file is None or name not in file.releases:
        return gathered, name
    gathered = gather(given, variables, tuple(_givens(file, options)))
    # Rules are of paths below the root, wherever a crawl begins.
    crawl = {**gathered.sections.get("crawl", {}), "below": name}
    return gathered._replace(sections={**gathered.sections, "crawl": crawl}), os.fspath(_root(file, None) / name)


def places(arguments: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Gathered, Sequence[str]]:
    """What `doctor` looks at: the places named, else those of the mirror file, if there is one.

    Raises:
        UsageError: The file can't be meant so.
    """
    named: Sequence[str] = arguments.places
    given, options, variables = _given(arguments, environ)
    gathered = gather(given, variables)
    file = None if named else _file(gathered)
    if file is None:
        return gathered, named
    gathered = gather(given, variables, tuple(_givens(file, options)))
    asked = dict(gathered.sections.get("settings", {}))
    asked.setdefault("journal", file.journal or _journal(file, gathered))
    return gathered._replace(sections={**gathered.sections, "settings": asked}), (
        str(file.destination),
        os.fspath(_root(file, gathered)),
    )


def init(name: str) -> int:
    """Write a mirror file to be filled in; gives the exit code.

    Raises:
        UsageError: There is a file of that name.
        OutputError: It can't be written.
    """
    path = paths.path(name)
    if os.path.lexists(path):
        raise UsageError("it is there already", path=os.fspath(path), hint="edit it, or name another file")
    with replacing(path) as file:
        file.write(TEMPLATE.encode())
    stderr.write([f"asyncmirror: {show_line(os.fspath(path))} is written: set root and bucket there, then asyncmirror sync"])
    return 0


def _given(
    arguments: argparse.Namespace, environ: Mapping[str, str]
) -> tuple[tuple[Given, ...], frozenset[Option], tuple[Given, ...]]:
    """The flags, the command's options, and what the environment gives of those that a mirror has."""
    groups: Mapping[str, tuple[Option, ...]] = arguments.options
    options = frozenset(option for group in groups.values() for option in group)
    ours = [option for group in groups.values() for option in group if option not in SILENT]
    return arguments.given, options, from_environment(ours, environ)


def _file(gathered: Gathered) -> MirrorFile | None:
    """The file named, or the one in the working directory."""
    named = gathered.sections.get("mirror", {}).get("file")
    if named is None and not os.path.lexists(mirror_toml.NAME):
        return None
    return mirror_toml.read(named or Path(mirror_toml.NAME).absolute())


def _givens(file: MirrorFile, options: frozenset[Option], of_class: str = "") -> Iterator[Given]:
    """The file's options, as far as the command has them: those of a storage class only for this one, and last, to prevail."""
    for setting in sorted(file.options, key=lambda setting: setting.table == of_class):
        option = _option(file, setting)
        if option in options and setting.table in (*_TABLES, of_class):
            for text in setting.texts:
                yield Given(option, text, f"{file.path}: {setting.table}.{setting.name}")


def _unheeded(gathered: Gathered, release: str | None) -> frozenset[Option]:
    """What this run could not have if a flag asked for it; in a file that is of all runs it is no error.

    Args:
        gathered: What flags and variables ask for.
        release: The release that is named.
    """
    asked = gathered.sections.get("settings", {})
    dry, batches = asked.get("dry_run", False), "batches" in gathered.sections
    found: list[Option] = []
    if release is not None or asked.get("subdirs") or batches or asked.get("delete") is False:
        found += DELETE
    if dry or batches:
        found += WATCH
    if dry:  # beside the process that has the page
        found += OPTIONS["page"]
    return frozenset(found)


def _told(file: MirrorFile, unheeded: frozenset[Option]) -> Iterator[str]:
    """What somebody may wait for in vain."""
    for given in _givens(file, unheeded):
        if given.option.field == "settings.delete" and given.value():
            yield f"nothing is deleted, though {file.path} asks for it: that needs a run of the whole mirror"


def _with_prices(
    file: MirrorFile, options: frozenset[Option], gathered: Gathered, stronger: tuple[Sequence[Given], Sequence[Given]]
) -> Gathered:
    """With the prices that the file has for the storage class that is asked for, if it has any."""
    storage_class = gathered.sections.get("objects", {}).get("storage_class") or STANDARD
    of_class = f"prices.{storage_class}"
    if not any(setting.table == of_class for setting in file.options):
        return gathered
    return gather(*stronger, tuple(_givens(file, options, of_class)))


def _option(file: MirrorFile, setting: Setting) -> Option:
    table = setting.table.partition(".")[0]
    names = {option.name: option for option in _TABLES[table] if option.name not in _ELSEWHERE}
    option = names.get(setting.name)
    if option is None:
        hint = f"what may stand in [{setting.table}]: {', '.join(names)}"
        raise UsageError(f"{setting.table}.{setting.name} is not known", path=os.fspath(file.path), hint=hint)
    if len(setting.texts) != 1 and not option.joined:
        raise UsageError(f"{setting.table}.{setting.name} is one value, no list", path=os.fspath(file.path))
    return option


def _check_release(file: MirrorFile, release: str) -> None:
    if release not in file.releases:
        there = f"it names {', '.join(file.releases)}" if file.releases else "it names none"
        raise UsageError(
            f"{release!r} is no release of the mirror: {there}",
            path=os.fspath(file.path),
            hint="correct it there, or give SOURCE and s3://BUCKET[/PREFIX]",
        )


def _root(file: MirrorFile, gathered: Gathered | None) -> Path:
    """The root asked for, else the first that is there."""
    wanted = None if gathered is None else gathered.sections.get("mirror", {}).get("root")
    if wanted is not None and wanted not in file.roots:
        hint = f"its root and aliases are {', '.join(map(os.fspath, file.roots))}"
        raise UsageError(f"--root {os.fspath(wanted)!r} is not of the mirror", path=os.fspath(file.path), hint=hint)
    return wanted or next((root for root in file.roots if os.path.isdir(root)), file.roots[0])


def _journal(file: MirrorFile, gathered: Gathered) -> Path:
    """Where the journal is kept: what there is of any of the roots, so that they may change places; else named by the first."""
    endpoint = configured_endpoint(gathered.fill(Connection(), "connection"))
    named = [os.fsencode(root).decode("utf-8", "backslashreplace") for root in file.roots]
    places = [default_journal(Belongs(name, str(file.destination), endpoint)) for name in named]
    return next((place for place in places if place.exists()), places[0])
