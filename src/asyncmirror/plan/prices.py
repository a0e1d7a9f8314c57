"""What a store charges: for a month of storage and for requests, by storage class.

Owns Amazon's list prices and its rules of what an object is charged for at least. Pure. They are those of us-east-1 for the
first 50 TB, as known in October 2025: a guess is better than none, and whoever has other prices gives them.

Sources. Storage but of DEEP_ARCHIVE, and PUTs of S3 Standard: Amazon's Price List API, as others read it on 2025-10-28. The
rest: the same without a date (github.com/scttfrdmn/objectfs, internal/awsrates). Least sizes and durations: Amazon S3 User
Guide, "Comparing the Amazon S3 storage classes"; parts of archived objects at the rate of S3 Standard: there, "Multipart upload
and pricing". 40 KB beside each of these, and small objects that Intelligent-Tiering does not monitor: "Amazon S3 pricing".
GLACIER is left out: sources differ.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from asyncmirror.sizes import KIB

TB = 10**12
AS_OF = "October 2025"
REGION = "us-east-1"
STANDARD = "STANDARD"
LISTED = ("storage", "requests")
"""What the list has a price of."""
SMALL = 128 * KIB
"""Bytes of the least size that Amazon charges for, where it does, and monitors, where it does."""
_THOUSAND = 1000
_INDEX = 32 * KIB
_NAME = 8 * KIB


class Prices(NamedTuple):
    """In US dollars: `storage` of a TB (10^12 bytes) for a month, `requests` of 1,000 that make an object.

    Objects below `SMALL` are charged as if they had `least` bytes, and each for `days` at least. `parts`: of 1,000 other
    requests of an upload in parts. In a month, `beside` for what is kept beside each object, and `watch` for 1,000 objects that
    are not small.
    """

    storage: float = 23.0
    requests: float = 0.005
    parts: float = 0.005
    least: int = 0
    days: int = 0
    beside: float = 0.0
    watch: float = 0.0


def _beside(storage: float) -> float:
    """US dollars a month for what is kept beside an archived object: an index at the class's price, a name at S3 Standard's."""
    return (_INDEX * storage + _NAME * Prices().storage) / TB


_LIST: Mapping[str, Prices] = {
    STANDARD: Prices(),
    # In the tier in which objects begin; those that nobody reads become cheaper after a month.
    "INTELLIGENT_TIERING": Prices(watch=0.0025),
    "STANDARD_IA": Prices(12.5, 0.01, 0.01, least=SMALL, days=30),
    "ONEZONE_IA": Prices(10.0, 0.01, 0.01, least=SMALL, days=30),
    "GLACIER_IR": Prices(4.0, 0.02, 0.02, least=SMALL, days=90),
    "DEEP_ARCHIVE": Prices(0.99, 0.05, days=180, beside=_beside(0.99)),
}


class Quote(NamedTuple):
    """The prices of a class. `listed`: which of them are Amazon's list price; `known`: of this class, else of S3 Standard."""

    storage_class: str
    prices: Prices
    listed: tuple[str, ...] = LISTED
    known: bool = True


def quote(storage_class: str | None = None, storage: float | None = None, requests: float | None = None) -> Quote:
    """What is reckoned with: what the user gave, and else what Amazon's list says of the class (None: S3 Standard)."""
    name = storage_class or STANDARD
    prices = _LIST.get(name, Prices())
    if requests is not None and prices.parts == prices.requests:
        prices = prices._replace(parts=requests)
    prices = prices._replace(
        storage=prices.storage if storage is None else storage, requests=prices.requests if requests is None else requests
    )
    listed = tuple(what for what, given in zip(LISTED, (storage, requests), strict=True) if given is None)
    return Quote(name, prices, listed, name in _LIST)


class Stock(NamedTuple):
    """Objects, with their bytes; `small` of them, with theirs, are below `SMALL`."""

    objects: int = 0
    size: int = 0
    small: int = 0
    small_size: int = 0

    def plus(self, sizes: Iterable[int]) -> "Stock":
        """With objects of these sizes."""
        added = tuple(sizes)
        small = [size for size in added if size < SMALL]
        return Stock(self.objects + len(added), self.size + sum(added), self.small + len(small), self.small_size + sum(small))

    def and_(self, other: "Stock") -> "Stock":
        """Both together."""
        return Stock(*(mine + its for mine, its in zip(self, other, strict=True)))


def monthly(stock: Stock, prices: Prices) -> float:
    """US dollars that objects cost in a month."""
    charged = stock.size
    if prices.least:
        charged += stock.small * prices.least - stock.small_size
    watched = (stock.objects - stock.small) / _THOUSAND * prices.watch
    return charged / TB * prices.storage + stock.objects * prices.beside + watched


def once(objects: int, requests: int, prices: Prices) -> float:
    """US dollars for so many requests, that many of which make an object."""
    return (objects * prices.requests + (requests - objects) * prices.parts) / _THOUSAND
