"""A release as DESI publishes one, made up: its layout, its links, its checksum files, and what goes wrong in it.

Owns the tree. The same seed makes the same tree, byte for byte. Most files are small; some have MiBs, a few several parts. Two
releases have directories in common; there are links of every kind, names that shells and XML stumble over, and a directory
that its reader may not list.
"""

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from asyncmirror.sizes import MIB

RELEASES = ("edr", "dr1")
COMMON = (("spectro/data", "raw_spectro_data"), ("target", "target"))
"""What is remapped, in each release."""
HOSTILE = (
    b"two\nlines.fits", b"bell\x07.fits", b"\x1b[31mred\x1b[0m", b"no\xffutf8\xfe.fits", b"100%25.fits", b"a+b&c=d?e#f.fits",
    b"back\\slash.fits", b"'single' \"double\".fits", b"$(touch x).fits", b"--delete", b" ", b"\xe2\x90\x9bFF", "é".encode(),
    "e\u0301".encode(), b"Case", b"case", b"\xe2\x80\xaegnp.exe", b"n" * 255,
)  # fmt: skip
"""Names that something stumbles over."""
_EXPOSURE = 30
_RAW = 10
_PIXEL = 8
_MEDIUM = 1250
_LARGE = 12_500
_TYPICAL = 7.5  # e^7.5: 1.8 KiB, half are smaller
_SPREAD = 1.2
_MOST = 256 * 1024


class Release(NamedTuple):
    """What was made: the tree's root, its regular files with their bytes, its links, and what can't be mirrored.

    `unreadable` is the directory with mode 0; `nowhere` are links that lead to nothing that is mirrored. Paths below the root.
    """

    root: Path
    files: int
    size: int
    links: int
    unreadable: str
    nowhere: tuple[str, ...]


def make(root: Path, files: int, seed: int, part: int = 16 * MIB) -> Release:
    """Make a tree of so many files, or a few more; the largest have several parts of so many bytes."""
    return _Maker(root, random.Random(seed), part).make(files)


class _Maker:
    """Makes one tree."""

    def __init__(self, root: Path, chance: random.Random, part: int) -> None:
        self._root = root
        self._chance = chance
        self._part = part
        self._files = 0
        self._size = 0
        self._links = 0

    def make(self, files: int) -> Release:
        dr1, iron = "dr1", "dr1/spectro/redux/iron"
        raw = list(self._exposures(f"{dr1}/spectro/data", files * 22 // 100, _RAW, "checksum-{expid}"))
        reduced = list(
            self._exposures(f"{iron}/exposures", files * 38 // 100, _EXPOSURE, "redux_iron_exposures_{night}_{expid}")
        )
        self._healpix(f"{iron}/healpix/main/dark", files * 25 // 100)
        self._run(f"{iron}/run", max(4, files * 4 // 100))
        for release in RELEASES:
            self._flat(f"{release}/target/catalogs/{release}/0.49.0", files * 4 // 100, "target_catalogs_{0}")
        list(self._exposures("edr/spectro/data", files * 2 // 100, _RAW, "checksum-{expid}", 20201214))
        for number in range(max(2, files // _MEDIUM)):
            self._write(f"{dr1}/vac/lss/v1.5/random-{number}.fits", self._chance.randint(MIB, 8 * MIB))
        for number in range(max(1, files // _LARGE)):
            size = self._part * self._chance.randint(3, 5) + self._chance.randint(1, MIB)
            self._write(f"{iron}/zcatalog/zall-{number}.fits", size)
        lines = [self._write(f"{dr1}/vac/names/".encode() + name, self._small()) for name in HOSTILE]
        lines.append(self._write(f"{dr1}/vac/names/empty", 0))
        self._sidecar(b"dr1/vac/names", b"vac_names.sha256sum", lines)
        for number in range(7):
            self._write(f"{iron}/embargo/night-{number}.fits", self._small())
        for number in range(self._files, files):
            self._write(f"{dr1}/docs/page-{number}.html", self._small())
        nowhere = self._link_all(raw, reduced)
        (self._root / iron / "embargo").chmod(0)
        return Release(self._root, self._files, self._size, self._links, f"{iron}/embargo", nowhere)

    def _exposures(self, top: str, files: int, each: int, sidecar: str, first: int = 20210514) -> Iterator[str]:
        """Directories of a night, from the first on, and an exposure, with a checksum file in each."""
        for number in range(max(2, files // (each + 1))):
            night, expid = f"{first + number // 20}", f"{67784 + number:08}"
            where = f"{top}/{night}/{expid}"
            lines = [self._write(f"{where}/sframe-{'brz'[n % 3]}{n}-{expid}.fits", self._small()) for n in range(each)]
            self._sidecar(where.encode(), f"{sidecar.format(night=night, expid=expid)}.sha256sum".encode(), lines)
            yield where

    def _healpix(self, top: str, files: int) -> None:
        for pixel in range(max(2, files // (_PIXEL + 1))):
            where = f"{top}/{pixel // 100}/{pixel}"
            kinds = ("coadd", "redrock", "spectra", "rrdetails", "qso_mgii", "qso_qn", "emline", "hpixexp")
            lines = [self._write(f"{where}/{kind}-main-dark-{pixel}.fits", self._small()) for kind in kinds]
            name = where.removeprefix("dr1/spectro/").replace("/", "_") + ".sha256sum"
            self._sidecar(where.encode(), name.encode(), lines)

    def _run(self, top: str, files: int) -> None:
        """One checksum file for all that is below."""
        lines = []
        for number in range(files):
            path, digest = self._write(f"{top}/scripts/night-{number // 50}/tile-{number}.slurm", self._small())
            lines.append((os.path.relpath(path, top.encode()), digest))
        self._sidecar(top.encode(), b"redux_iron_run.sha256sum", lines)

    def _flat(self, where: str, files: int, sidecar: str) -> None:
        lines = [self._write(f"{where}/targets-dark-hp-{number}.fits", self._small()) for number in range(max(2, files))]
        name = sidecar.format(where.split("/target/catalogs/")[1].replace("/", "_")) + ".sha256sum"
        self._sidecar(where.encode(), name.encode(), lines)

    def _link_all(self, raw: list[str], reduced: list[str]) -> tuple[str, ...]:
        """Links to directories and to files, within a release and between two; and those that lead nowhere."""
        self._link("dr1/README", "../edr/target/catalogs/edr/0.49.0/targets-dark-hp-0.fits")
        self._link("dr1/survey/fiberassign", "../target/catalogs")
        self._link("dr1/target/catalogs/latest", "dr1")
        for where in reduced[: 1 + len(reduced) // 20]:
            night, expid = where.split("/")[-2:]
            self._link(f"dr1/spectro/redux/guadalupe/exposures/{night}/{expid}", f"../../../iron/exposures/{night}/{expid}")
        self._link("dr1/vac/raw-example", os.path.relpath(raw[0], "dr1/vac"))
        nowhere = {
            "dr1/survey/GFA": "/no/such/place/GFA",
            "dr1/survey/outside": "../../../../outside",
            "dr1/vac/circle": "circle",
            "dr1/vac/lss/up": "..",
        }
        (self._root.parent.parent / "outside").mkdir(exist_ok=True)
        for link, target in nowhere.items():
            self._link(link, target)
        return tuple(nowhere)

    def _small(self) -> int:
        return min(_MOST, int(self._chance.lognormvariate(_TYPICAL, _SPREAD)))

    def _write(self, path: str | bytes, size: int) -> tuple[bytes, bytes]:
        """A file of so many random bytes; gives its path below the root and its SHA-256."""
        below = os.fsencode(path)
        whole = os.path.join(os.fsencode(self._root), below)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        digest = hashlib.sha256()
        with open(whole, "wb") as file:
            left = size
            while left:
                piece = self._chance.randbytes(min(left, MIB))
                digest.update(piece)
                file.write(piece)
                left -= len(piece)
        self._files += 1
        self._size += size
        return below, digest.digest()

    def _sidecar(self, where: bytes, name: bytes, lines: list[tuple[bytes, bytes]]) -> None:
        """What sha256sum(1) would write, names with newline or backslash escaped as it does."""
        text = b""
        for path, digest in lines:
            short = path.removeprefix(where + b"/")
            escaped = short.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
            text += (b"\\" if escaped != short else b"") + digest.hex().encode() + b"  " + escaped + b"\n"
        whole = os.path.join(os.fsencode(self._root), where, name)
        with open(whole, "wb") as file:
            file.write(text)
        self._files += 1
        self._size += len(text)

    def _link(self, path: str, target: str) -> None:
        link = self._root / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
        self._links += 1
