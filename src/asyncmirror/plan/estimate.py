"""What sending files comes to: requests, parts, how their sizes are spread, what it costs and how long it takes.

Owns the arithmetic. A small file is one PutObject; a large one is CreateMultipartUpload, its parts and CompleteMultipartUpload;
an upload in progress is ListParts, the parts without a receipt and CompleteMultipartUpload. All of these are charged at the
price of a PUT (AWS, "Amazon S3 pricing"; ending an upload is too): of which one, is `prices`' to know. Repeated requests are
not foreseen. Pure.
"""

from collections.abc import Sequence
from typing import NamedTuple

from asyncmirror.errors import RefusedError
from asyncmirror.model import Upload
from asyncmirror.plan.parts import part_size
from asyncmirror.plan.prices import SMALL, Prices, Stock, once
from asyncmirror.settings import Tuning
from asyncmirror.sizes import KIB

_FIRST = KIB.bit_length()
"""Files of fewer bytes than a KiB share the first bin."""


class Bin(NamedTuple):
    """Files of at least `least` bytes, and of fewer than the next bin's: how many, and their bytes."""

    least: int
    files: int
    size: int


class Estimate(NamedTuple):
    """The sum. Sizes in bytes; `multipart` counts files that go up in `parts` parts, none longer than `longest_part`.

    `size` is what the objects will have, `sent` what is still to be sent of it; `enlarged` files need longer parts than were
    asked for, because S3 allows 10,000; `refused` files can't be sent at all and are in no other number. `stock` is what the
    store will charge for.
    """

    files: int
    size: int
    sent: int
    requests: int
    multipart: int
    parts: int
    longest_part: int
    enlarged: int
    refused: int
    bins: Sequence[Bin]
    stock: Stock = Stock()

    def request_cost(self, prices: Prices) -> float:
        """US dollars for all requests, once."""
        return once(self.files, self.requests, prices)

    def seconds(self, bandwidth: int) -> float:
        """How long it takes at so many bytes per second, by bandwidth alone."""
        return self.sent / bandwidth


class Estimator:
    """Adds files up. Remembers numbers alone, however many files there are."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._total = Estimate(0, 0, 0, 0, 0, 0, 0, 0, 0, ())
        self._small = self._small_size = 0
        self._bins: dict[int, tuple[int, int]] = {}

    def add(self, size: int, upload: Upload | None = None) -> None:
        """Take in a file of `size` bytes that is to be sent; `upload` is the one in progress that is gone on with."""
        total, tuning = self._total, self._tuning
        if size < tuning.largest_put and upload is None:
            self._total = total._replace(
                files=total.files + 1, size=total.size + size, sent=total.sent + size, requests=total.requests + 1
            )
        else:
            try:
                length = part_size(size, tuning.part_size, tuning.max_memory) if upload is None else upload.part_size
            except RefusedError:
                self._total = total._replace(refused=total.refused + 1)
                return
            there = () if upload is None else upload.receipts
            parts = -(-size // length) - len(there)
            self._total = total._replace(
                files=total.files + 1,
                size=total.size + size,
                sent=total.sent + size - sum(receipt.size for receipt in there),
                requests=total.requests + parts + 2,
                multipart=total.multipart + 1,
                parts=total.parts + parts,
                longest_part=max(total.longest_part, length),
                enlarged=total.enlarged + (length > tuning.part_size),
            )
        if size < SMALL:
            self._small += 1
            self._small_size += size
        place = _place(size)
        files, bytes_ = self._bins.get(place, (0, 0))
        self._bins[place] = (files + 1, bytes_ + size)

    def estimate(self) -> Estimate:
        """The sum so far, with every bin from the smallest file's to the largest's."""
        if not self._bins:
            return self._total
        places = range(min(self._bins), max(self._bins) + 1)
        stock = Stock(self._total.files, self._total.size, self._small, self._small_size)
        bins = tuple(Bin(_least(place), *self._bins.get(place, (0, 0))) for place in places)
        return self._total._replace(bins=bins, stock=stock)


def _place(size: int) -> int:
    """The bin of a size: 0 below a KiB, and one for each factor of four from there."""
    return 0 if size < KIB else (size.bit_length() - _FIRST) // 2 + 1


def _least(place: int) -> int:
    return KIB * 4 ** (place - 1) if place else 0
