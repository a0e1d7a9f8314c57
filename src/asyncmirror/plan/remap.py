"""Where in the bucket the files of a directory go, if not below their own path.

Owns ``--remap FROM=TO``: what is in the directory FROM, at any depth, goes below TO. Of several that a path is in, the longest
FROM decides, whatever their order; a match ends at a slash, so that ``target`` says nothing of ``target_x``; nothing is
remapped twice. Each file is asked for by itself, so that it does not matter where a scan began. Two paths may come to one key:
then their directories come to one place, and `Remaps.rivals` names them without a look at any file. Paths are bytes below the
source, places are paths below the destination's prefix. Pure; docs/keys.md tells users.
"""

import json
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from asyncmirror.errors import UsageError
from asyncmirror.plan import keys
from asyncmirror.settings import Remap

_NOWHERE = frozenset({b"", b".", b".."})


class Rivals(NamedTuple):
    """Other directories whose files go to the same place: those that come first where both have a file, and the others."""

    before: tuple[bytes, ...] = ()
    behind: tuple[bytes, ...] = ()


class Remaps:
    """The remaps of one mirror; `moves` are they, FROM to TO."""

    def __init__(self, remaps: Sequence[Remap] = ()) -> None:
        """Take them together.

        Raises:
            UsageError: One is malformed, or two send one directory to different places.
        """
        moves: dict[bytes, bytes] = {}
        for remap in remaps:
            source, target = _path(remap.source, remap), _path(remap.target, remap)
            if moves.setdefault(source, target) != target:
                other = os.fsdecode(moves[source])
                raise UsageError(
                    f"what is in {remap.source!r} is remapped to {other!r} and to {remap.target!r}", hint="keep one of the two"
                )
        self.moves: Mapping[bytes, bytes] = MappingProxyType(moves)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.moves)

    def directory(self, path: bytes) -> bytes:
        """The place of a directory's files; empty for the prefix itself."""
        source = self._deciding(path) if self.moves else None
        return path if source is None else self.moves[source] + path[len(source) :]

    def file(self, path: bytes) -> bytes:
        """The place of a file."""
        directory, _, name = path.rpartition(b"/")
        place = self.directory(directory)
        return place + b"/" + name if place else name

    def prefix(self, directory: bytes) -> str:
        """What the keys of a directory's files begin with, behind the destination's prefix."""
        return keys.directory_prefix("", self.directory(directory))

    def rivals(self, directory: bytes) -> Rivals:
        """The directories whose files would have the keys of this one's, whether or not they exist.

        Where both have a file of one name, the one that nothing remaps comes first, then the order of the remaps decides.
        """
        if not self.moves:
            return Rivals()
        place, mine = self.directory(directory), self._deciding(directory)
        before: list[bytes] = []
        behind: list[bytes] = []
        into = before
        for source, candidate in self._origins(place):
            if source == mine:
                into = behind
            elif self._deciding(candidate) == source:
                into.append(candidate)
        return Rivals(tuple(before), tuple(behind))

    def origins(self, place: bytes) -> list[bytes]:
        """The directories whose files go to this place, whether or not they exist."""
        return [candidate for source, candidate in self._origins(place) if self._deciding(candidate) == source]

    def _origins(self, place: bytes) -> list[tuple[bytes | None, bytes]]:
        """What each remap, and none at all, would have to begin with to come to this place."""
        found: list[tuple[bytes | None, bytes]] = [(None, place)]
        for source, target in self.moves.items():
            if place == target or place.startswith(target + b"/"):
                found.append((source, source + place[len(target) :]))
        return found

    def _deciding(self, directory: bytes) -> bytes | None:
        """The longest FROM that this directory is or is in."""
        while directory:
            if directory in self.moves:
                return directory
            directory = directory.rpartition(b"/")[0]
        return None

    def differing(self, other: "Remaps") -> list[bytes]:
        """The directories below which alone the two may send anything to different places."""
        return sorted({source for source, _ in self.moves.items() ^ other.moves.items()})

    def text(self) -> str:
        """The remaps as the journal keeps them; empty where there are none."""
        pairs = [[os.fsdecode(source), os.fsdecode(target)] for source, target in sorted(self.moves.items())]
        return json.dumps(pairs) if pairs else ""

    @classmethod
    def from_text(cls, text: str) -> "Remaps":
        """Read what `text` gave.

        Raises:
            ValueError: It did not give this.
        """
        pairs: object = json.loads(text) if text else []
        if not isinstance(pairs, list):
            raise ValueError("the remaps are no list")  # noqa: TRY004  whatever is wrong with the text is wrong with its value
        try:
            return cls([Remap(source, target) for source, target in pairs])
        except (UsageError, TypeError, AttributeError) as error:
            raise ValueError(str(error)) from None


def _path(text: str, remap: Remap) -> bytes:
    try:
        path = os.fsencode(text.removesuffix("/"))
    except UnicodeEncodeError:
        path = b""
    if b"\0" in path or not _NOWHERE.isdisjoint(path.split(b"/")):
        raise UsageError(
            f"{remap.source}={remap.target}: {text!r} is no relative path",
            hint="write FROM below the source and TO below the destination, without '.' and '..'",
        )
    return path
