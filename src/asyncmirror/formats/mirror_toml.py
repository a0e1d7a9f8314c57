"""``asyncmirror.toml``: one file that describes a mirror.

Owns its form: what stands where, and what becomes of ``{release}``. Gives frozen values, or an error that names the file, the
key (or, where it is no TOML, the line) and what to write instead. The options in its tables are kept as text under the names of
their flags: what they mean, and which there are, is the command line's to know. docs/mirror-file.md tells users.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from asyncmirror.errors import UsageError
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Destination, Remap

NAME = "asyncmirror.toml"
"""Where it is looked for: in the working directory."""
RELEASE = "{release}"
TABLES = ("connection", "objects", "limits", "selection", "behaviour", "deletion", "service", "prices", "batch")
"""Those that hold options."""
_KEYS = ("root", "aliases", "bucket", "prefix", "releases", "journal", "common", *TABLES)


class Setting(NamedTuple):
    """An option of a table with its texts: several where it may repeat."""

    table: str
    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MirrorFile:
    """What a file says. `roots` are mounts of one tree, that named ``root`` first."""

    path: Path
    roots: tuple[Path, ...]
    destination: Destination
    releases: tuple[str, ...] = ()
    remaps: tuple[Remap, ...] = ()
    journal: Path | None = None
    options: tuple[Setting, ...] = ()


def read(path: Path) -> MirrorFile:
    """Read a mirror file.

    Raises:
        UsageError: It can't be read or is no such file.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"it can't be read: {error.strerror or error}", path=os.fspath(path)) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"byte {error.start:,} is no UTF-8", path=os.fspath(path), hint="save it as UTF-8") from None
    return _Reader(path).file(text)


class _Reader:
    """Reads one file; knows its name, for errors."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def file(self, text: str) -> MirrorFile:
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self._refuse(f"it is no TOML: {error}", "correct that line")
        except (ValueError, RecursionError):
            self._refuse("it holds a number or a nesting that no such file has", "take it out")
        for key in table:
            if key not in _KEYS:
                self._refuse(f"{key!r} is not known", f"what may stand there: {', '.join(_KEYS)}")
        found = (self._below(name, f"releases[{n}]") for n, name in enumerate(self._strings(table, "releases")))
        releases = tuple(dict.fromkeys(found))
        return MirrorFile(
            path=self._path,
            roots=(
                self._root(table),
                *(self._place(each, f"aliases[{n}]") for n, each in enumerate(self._strings(table, "aliases"))),
            ),
            destination=self._destination(table),
            releases=releases,
            remaps=self._remaps(table, releases),
            journal=self._journal(table),
            options=tuple(setting for name in TABLES for setting in self._options(table, name)),
        )

    def _root(self, table: Mapping[str, object]) -> Path:
        if "root" not in table:
            self._refuse("root is missing", 'write root = "/the/tree"')
        return self._place(self._string(table["root"], "root"), "root")

    def _place(self, text: str, key: str) -> Path:
        if not os.path.isabs(text) or "\0" in text:
            self._refuse(f"{key} is {text!r}, which is no absolute path", "write it from the first slash on")
        return Path(text)

    def _destination(self, table: Mapping[str, object]) -> Destination:
        if "bucket" not in table:
            self._refuse("bucket is missing", 'write bucket = "NAME"')
        bucket, prefix = self._string(table["bucket"], "bucket"), self._string(table.get("prefix", ""), "prefix")
        if "/" in bucket:
            self._refuse(f"bucket is {bucket!r}, which is no bucket name", "write the rest as prefix")
        try:
            return Destination.parse(f"s3://{bucket}/{prefix}")
        except UsageError as error:
            self._refuse(
                f"bucket or prefix: {error.message}", "write the bucket's name, and a prefix without slashes at its ends"
            )

    def _journal(self, table: Mapping[str, object]) -> Path | None:
        if "journal" not in table:
            return None
        text = self._string(table["journal"], "journal")
        if not text or "\0" in text:
            self._refuse(f"journal is {text!r}, which is no path", "name a file")
        return self._path.absolute().parent / text

    def _remaps(self, table: Mapping[str, object], releases: tuple[str, ...]) -> tuple[Remap, ...]:
        """Those of ``common``, written out for each release."""
        found: list[Remap] = []
        for source, value in self._table(table, "common").items():
            key = f"common.{source!r}"
            target = self._string(value, key)
            several = RELEASE in source or RELEASE in target
            if several and not releases:
                self._refuse(f"{key} is for each {RELEASE}, and there are none", 'write releases = ["NAME"]')
            for release in releases if several else ("",):
                found.append(Remap(source.replace(RELEASE, release), target.replace(RELEASE, release)))
                try:
                    Remaps(found)
                except UsageError as error:
                    self._refuse(f"{key}: {error.message}", error.hint)
        return tuple(found)

    def _options(self, table: Mapping[str, object], name: str) -> list[Setting]:
        found = []
        for key, value in self._table(table, name).items():
            where = f"{name}.{key}"
            if name == "prices" and isinstance(value, dict):
                found += [Setting(where, inner, (self._text(each, f"{where}.{inner}"),)) for inner, each in value.items()]
                continue
            values = value if isinstance(value, list) else [value]
            found.append(Setting(name, key, tuple(self._text(each, where) for each in values)))
        return found

    def _text(self, value: object, where: str) -> str:
        """What would stand behind the flag."""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if not isinstance(value, str | int | float):
            self._refuse(f"{where} must be a text, a number, true or false", "write what would stand behind the flag")
        return str(value)

    def _below(self, text: str, key: str) -> str:
        if "\0" in text or not {"", ".", ".."}.isdisjoint(text.split("/")):
            self._refuse(f"{key} is {text!r}, which is no directory below root", "write its path without slashes at its ends")
        return text

    def _table(self, table: Mapping[str, object], key: str) -> Mapping[str, object]:
        value = table.get(key, {})
        if not isinstance(value, dict):
            self._refuse(f"{key} must be a table", f"write [{key}] in a line by itself")
        return value

    def _strings(self, table: Mapping[str, object], key: str) -> list[str]:
        value = table.get(key, [])
        if not isinstance(value, list):
            self._refuse(f"{key} must be a list", f'write {key} = ["…"]')
        return [self._string(each, f"{key}[{n}]") for n, each in enumerate(value)]

    def _string(self, value: object, key: str) -> str:
        if not isinstance(value, str):
            self._refuse(f"{key} must be a text", "write it in quotes")
        return value

    def _refuse(self, what: str, hint: str) -> NoReturn:
        raise UsageError(what, path=os.fspath(self._path), hint=hint)
