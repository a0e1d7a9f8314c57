"""Makes a tree that looks like a small piece of a DESI release: many small FITS files, few large ones, checksum files.

Owns names and sizes. The same seed gives the same tree, byte for byte.
"""

import hashlib
import math
import random
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_RELEASE = PurePosixPath("edr/spectro/redux/fuji")
_PIXELS = range(26000, 26082)
_KINDS = (
    "coadd", "dust", "emline", "exposures", "hpixexp", "qso_mgii", "qso_qn", "redrock", "redrock-mp",
    "rrdetails", "rrmodel", "sky", "spectra", "stdstars", "tileqa", "truth", "zmtl",
)  # fmt: skip
_LARGE_MIB = {
    "edr/spectro/data/20210405/00083728/desi-00083728.fits": 80,
    "edr/spectro/data/20210405/00083729/desi-00083729.fits": 72,
    "edr/spectro/redux/fuji/zcatalog/zall-pix-fuji.fits": 66,
    "edr/spectro/redux/fuji/zcatalog/zall-tilecumulative-fuji.fits": 64,
}
_MEDIAN = 24 << 10
_SIGMA = 1.4
_LARGEST_SMALL = 4 << 20
_BLOCK = 2880
"""A FITS file is made of blocks of this many bytes (FITS standard 4.0, 3.1)."""


def make_tree(root: Path, seed: int = 20230613) -> None:
    """Write some 1,500 files of 370 MiB in all below `root`."""
    source = random.Random(seed)
    for pixel in _PIXELS:
        directory = _RELEASE / "healpix/sv3/dark" / str(pixel // 100) / str(pixel)
        target = root / directory
        target.mkdir(parents=True)
        sums = []
        for kind in _KINDS:
            name = f"{kind}-sv3-dark-{pixel}.fits"
            content = b"".join(_fits(source, _small_size(source)))
            (target / name).write_bytes(content)
            sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
        listing = "_".join(directory.parts[2:]) + ".sha256sum"
        (target / listing).write_text("".join(sums))
    for path, mib in _LARGE_MIB.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            file.writelines(_fits(source, mib << 20))


def _small_size(source: random.Random) -> int:
    return min(_LARGEST_SMALL, int(source.lognormvariate(math.log(_MEDIAN), _SIGMA)))


def _fits(source: random.Random, size: int) -> Iterator[bytes]:
    cards = ("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0", "END")
    yield "".join(card.ljust(80) for card in cards).ljust(_BLOCK).encode("ascii")
    rest = math.ceil(size / _BLOCK) * _BLOCK
    while rest:
        piece = min(rest, 1 << 20)
        yield source.randbytes(piece)
        rest -= piece
