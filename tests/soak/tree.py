"""A tree that keeps changing between runs, in every way that files change.

Owns the changes, each drawn from one source of chance, and the keys that its files ever had. Nothing of it is sparse, and new
content is never equal to what was there; only `revert` brings former bytes back.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.evidence import regular_files

_PIECE = 1 << 20


class Tree:
    """Changes files below `root`, where files of `large` bytes or more are large. Each method says what it did."""

    def __init__(self, root: Path, chance: random.Random, large: int) -> None:
        self.root = root
        self.former: set[str] = set()
        self._chance = chance
        self._large = large
        self._count = 0
        self._before: dict[Path, bytes] = {}
        root.mkdir()

    def files(self) -> dict[str, Path]:
        """The regular files, by key."""
        files = {key: path for key, (path, _) in regular_files(self.root).items()}
        self.former |= files.keys()
        return files

    def write(self, path: Path, size: int) -> str:
        """A new file, or other bytes in one that was there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._keep(path)
        with path.open("wb") as file:
            while size:
                file.write(self._chance.randbytes(min(size, _PIECE)))
                size -= min(size, _PIECE)
        return f"write {path.name}"

    def rewrite(self, path: Path) -> str:
        """Other bytes, the same size and inode."""
        return self.write(path, path.stat().st_size)

    def grow(self, path: Path) -> str:
        """More bytes at the end."""
        self._keep(path)
        with path.open("ab") as file:
            file.write(self._chance.randbytes(1 + self._chance.randrange(1000)))
        return f"grow {path.name}"

    def truncate(self, path: Path) -> str:
        """Fewer bytes; at times none."""
        self._keep(path)
        os.truncate(path, self._chance.choice((0, path.stat().st_size // 2)))
        return f"truncate {path.name}"

    def replace(self, path: Path) -> str:
        """Another file of the same size under the name."""
        new = path.with_name(".new")
        self._keep(path)
        self.write(new, path.stat().st_size)
        new.replace(path)
        return f"replace {path.name}"

    def revert(self, path: Path) -> str:
        """The bytes that were there before."""
        before = self._before.get(path)
        if before is not None:
            self._keep(path)
            path.write_bytes(before)
        return f"revert {path.name}"

    def touch(self, path: Path) -> str:
        """Other times."""
        at = self._chance.randrange(1 << 60)
        os.utime(path, ns=(at, at))
        return f"touch {path.name}"

    def chmod(self, path: Path) -> str:
        """Another mode, under which it can still be read."""
        path.chmod(self._chance.choice((0o600, 0o640, 0o644)))
        return f"chmod {path.name}"

    def rename(self, path: Path) -> str:
        """A name of its own, in the same directory."""
        self._count += 1
        new = path.with_name(f"{path.name.partition('~')[0]}~{self._count}")
        path.rename(new)
        return f"rename {path.name} {new.name}"

    def delete(self, path: Path) -> str:
        """It is gone."""
        path.unlink()
        return f"delete {path.name}"

    def change(self, count: int, small: int) -> None:
        """Change so many small files, drawn from all there are, and add as many as were deleted; at times a large one too.

        Args:
            count: How many.
            small: The size of a new file in bytes, at most.
        """
        files = sorted(self.files().values())
        large = [path for path in files if path.stat().st_size >= self._large]
        minor = [path for path in files if path.stat().st_size < self._large]
        for path in self._chance.sample(minor, count):
            change = self._chance.choice(self._changes())
            change(path)
            if change == self.delete:
                self.write(path.with_name(f"{path.name.partition('~')[0]}~{self._next()}"), self._chance.randint(0, small))
        if large and self._chance.random() < _OF_LARGE:
            path = self._chance.choice(large)
            self._chance.choice((self.rewrite, self.touch, self.rename, self.grow, self.replace))(path)

    def _changes(self) -> list[Callable[[Path], str]]:
        often = [self.rewrite, self.grow, self.replace, self.rename] * 2
        return [*often, self.truncate, self.revert, self.touch, self.chmod, self.delete]

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _keep(self, path: Path) -> None:
        """Remember the bytes of a small file."""
        if path.exists() and path.stat().st_size < self._large:
            self._before[path] = path.read_bytes()


_OF_LARGE = 0.3
"""How often a large file changes."""
