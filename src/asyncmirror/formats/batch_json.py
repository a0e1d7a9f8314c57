"""``batch.json``: which paths are to be uploaded, and which have been, as DESI's upload pipeline keeps it.

Owns both forms. The pipeline's own is an object of three lists of absolute paths, ``completed``, ``queued`` and ``failed``; its
tools take one path at a time, and write the file again with whatever else it holds. Ours has one list more, ``batches``: which
of the queued paths belong together, and their sizes. The three lists alone say what is done: a path is to be done if it is
queued, whatever the fourth says, so that the old tools and asyncmirror may take turns.

It is written as a stream, read as a whole: what is queued is what whoever reads it has to remember. Knows no tree and no
upload.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from asyncmirror.errors import UsageError
from asyncmirror.formats import names
from asyncmirror.plan.batches import Batch

_REMEDY = "make it again with asyncmirror batch"
_LISTS = ("completed", "queued", "failed")


class BatchFile(NamedTuple):
    """What a ``batch.json`` says; paths are absolute, each once in its list. `batches` are as they were when they were made."""

    completed: tuple[bytes, ...]
    queued: tuple[bytes, ...]
    failed: tuple[bytes, ...]
    batches: tuple[Batch, ...] = ()

    def pending(self) -> Iterator[Batch]:
        """What is queued, in the order of the queue: each path with those queued paths that belong to its batch.

        The size of a batch is told if all of it is queued still.
        """
        left = dict.fromkeys(self.queued)
        home = {path: batch for batch in self.batches for path in batch.paths}
        for path in self.queued:
            if path not in left:
                continue
            batch = home.get(path, Batch((path,)))
            paths = tuple(each for each in batch.paths if each in left)
            for each in paths:
                del left[each]
            yield batch if len(paths) == len(batch.paths) else Batch(paths)


def write(
    file: BinaryIO,
    batches: Iterable[Batch],
    completed: Iterable[bytes] = (),
    failed: Iterable[bytes] = (),
    *,
    plain: bool = False,
) -> None:
    """Write a queue of these batches. `plain`: in the pipeline's own form, without ``batches``. Paths are absolute.

    Raises:
        OSError: It can't be written.
    """
    # The batches stand behind the queue but come together with it: they wait in a file of their own.
    with tempfile.TemporaryFile() as aside:
        file.write(b'{"completed": [')
        _write_list(file, map(names.to_json, completed))
        file.write(b'], "queued": [')
        _write_list(file, _queued(batches, aside, plain=plain))
        file.write(b'], "failed": [')
        _write_list(file, map(names.to_json, failed))
        file.write(b"]")
        if not plain:
            file.write(b', "batches": [')
            aside.seek(0)
            shutil.copyfileobj(aside, file)
            file.write(b"\n]")
        file.write(b"}\n")


def _queued(batches: Iterable[Batch], aside: BinaryIO, *, plain: bool) -> Iterator[bytes]:
    comma = b"\n"
    for batch in batches:
        paths = [names.to_json(path) for path in batch.paths]
        if not plain:
            counted = {"size": batch.size, "entries": batch.entries}
            rest = b"".join(b', "%b": %d' % (key.encode(), value) for key, value in counted.items() if value is not None)
            aside.write(b'%b{"paths": [%b]%b}' % (comma, b", ".join(paths), rest))
            comma = b",\n"
        yield from paths


def _write_list(file: BinaryIO, strings: Iterable[bytes]) -> None:
    comma = b""
    for string in strings:
        file.write(comma + string)
        comma = b", "


def read(path: Path) -> BatchFile:
    """Read a file of either form.

    Raises:
        UsageError: It can't be read or is no such file; the error names the key and the place in its list.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise UsageError(f"it can't be read: {error.strerror or error}", path=os.fspath(path)) from None
    return _Reader(os.fspath(path)).file(text)


class _Reader:
    """Reads one file; knows its name, for errors."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def file(self, text: str) -> BatchFile:
        if not text.strip():
            self._refuse("it is empty: a run that was killed while it wrote leaves such a file")
        try:
            value: object = json.loads(text)
        except json.JSONDecodeError as error:
            self._refuse(f"character {error.pos:,}: {error.msg}")
        except (ValueError, RecursionError):
            self._refuse("it holds a number or a nesting that no such file has")
        if not isinstance(value, dict):
            self._refuse('it must be an object with the lists "completed", "queued" and "failed"')
        if "queued" not in value:
            self._refuse('it has no "queued"')
        completed, queued, failed = (self._paths(value.get(key, []), key) for key in _LISTS)
        batches = self._list(value.get("batches", []), "batches")
        return BatchFile(completed, queued, failed, tuple(self._batch(each, f"batches[{n}]") for n, each in enumerate(batches)))

    def _batch(self, value: object, where: str) -> Batch:
        if not isinstance(value, dict):
            self._refuse(f"{where} must be an object")
        paths = self._paths(value.get("paths"), f"{where}.paths")
        if not paths:
            self._refuse(f"{where}.paths is empty")
        return Batch(paths, self._count(value, "size", where), self._count(value, "entries", where))

    def _paths(self, value: object, where: str) -> tuple[bytes, ...]:
        paths = (self._one(each, f"{where}[{n}]") for n, each in enumerate(self._list(value, where)))
        return tuple(dict.fromkeys(paths))  # the old uploader leaves a path twice if it is stopped at the wrong time

    def _one(self, value: object, where: str) -> bytes:
        if not isinstance(value, str):
            self._refuse(f"{where} must be a path")
        try:
            path = names.from_text(value)
        except ValueError:
            self._refuse(f"{where} is a path that no file can have")
        components = path.split(b"/")
        if not path.startswith(b"/") or b"." in components or b".." in components:
            self._refuse(f"{where} is {value!r}, which is no absolute path without . and ..")
        return b"/" + b"/".join(filter(None, components))  # a root with a slash at its end leaves two in all paths

    def _list(self, value: object, where: str) -> list[object]:
        if not isinstance(value, list):
            self._refuse(f"{where} must be a list")
        return value

    def _count(self, value: Mapping[object, object], key: str, where: str) -> int | None:
        count = value.get(key)
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 0):
            self._refuse(f"{where}.{key} must be a whole number")
        return count

    def _refuse(self, what: str) -> NoReturn:
        raise UsageError(what, path=self._shown, hint=_REMEDY)
