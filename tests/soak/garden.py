"""A tree that changes all the while, and what each of its files ever was.

Owns the thread that changes it, and the account of versions: whatever a file was between two changes, and nothing else, may be
in the bucket. Names come from a fixed pool, so that a journal that grows has no excuse. Small files are written in one go or
replaced; large ones are replaced or appended to, so that no state in between is a version.
"""

import os
import random
import threading
import zlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Self

_SMALL = 48 << 10
"""Bytes of a small file, at most: written in one call."""


def version(data: bytes) -> tuple[int, int]:
    """What tells versions of a file apart."""
    return len(data), zlib.crc32(data)


class Garden:
    """`small` names of small files in directories of 50, `large` ones of large files. Made full; `grow` begins the changes."""

    def __init__(self, root: Path, chance: random.Random, *, small: int, large: int, size: int, pause: float) -> None:
        """Plant it.

        Args:
            root: Where; it is made.
            chance: Draws everything.
            small: Names of small files.
            large: Names of large files.
            size: Bytes of a large file, at least.
            pause: Seconds between two changes.
        """
        self.root = root
        self.changes: Counter[str] = Counter()
        self._chance = chance
        self._size = size
        self._pause = pause
        self._small = [f"{number // 50:03}/{number % 50:02}" for number in range(small)]
        self._large = [f"large/{number}" for number in range(large)]
        self._versions: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
        self._going = threading.Event()
        self._over = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._live, name="garden")
        for name in (*self._small, *self._large):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            self._write(name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._going.set()
        self._thread.join()

    def grow(self) -> None:
        """Change from now on."""
        self._going.set()

    def rest(self) -> None:
        """Change nothing from now on; what is being changed is changed."""
        self._going.clear()
        with self._turn:
            pass

    def files(self) -> dict[str, Path]:
        """What there is, by key."""
        found = {}
        for where, _, names in os.walk(self.root):
            for name in names:
                path = Path(where, name)
                found[path.relative_to(self.root).as_posix()] = path
        return found

    def was(self, key: str, data: bytes) -> bool:
        """Whether a file ever was so."""
        return version(data) in self._versions[key]

    def _live(self) -> None:
        while not self._over.wait(self._pause):
            self._going.wait()
            with self._turn:
                if self._going.is_set() and not self._over.is_set():
                    self._change()

    def _change(self) -> None:
        chance = self._chance
        if chance.random() < _OF_LARGE:
            name = chance.choice(self._large)
            change = chance.choice((self._write, self._append))
        else:
            name = chance.choice(self._small)
            change = chance.choice((self._write, self._rewrite, self._rewrite, self._append, self._delete, self._touch))
        change(name)
        self.changes[change.__name__.strip("_")] += 1

    def _data(self, name: str) -> bytes:
        if name in self._large:
            return self._chance.randbytes(self._size + self._chance.randrange(self._size))
        return self._chance.randbytes(self._chance.randrange(_SMALL))

    def _write(self, name: str) -> None:
        """A new file under the name, whether or not there was one."""
        data = self._data(name)
        self._versions[name].add(version(data))
        new = self.root.parent / "new"
        new.write_bytes(data)
        new.replace(self.root / name)

    def _rewrite(self, name: str) -> None:
        """Other bytes in the same file, or a first one."""
        data = self._data(name)
        self._versions[name] |= {version(b""), version(data)}  # empty for a moment
        (self.root / name).write_bytes(data)

    def _append(self, name: str) -> None:
        path = self.root / name
        if path.exists():
            more = self._chance.randbytes(100)
            self._versions[name].add(version(path.read_bytes() + more))
            with path.open("ab") as file:
                file.write(more)

    def _delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def _touch(self, name: str) -> None:
        if (self.root / name).exists():
            os.utime(self.root / name)


_OF_LARGE = 0.02
