"""What sending files comes to, held against a count of the requests one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.model import Algorithm, Checksum, Receipt, Upload
from asyncmirror.plan.estimate import Bin, Estimate, Estimator
from asyncmirror.plan.parts import MAX_OBJECT, parts
from asyncmirror.plan.prices import SMALL, Prices, Stock
from asyncmirror.settings import Tuning
from asyncmirror.sizes import GIB, KIB, MIB

TUNING = Tuning(part_size=5 * MIB, multipart_threshold=8 * MIB, max_memory=64 * MIB)


def of(*sizes: int, tuning: Tuning = TUNING) -> Estimate:
    estimator = Estimator(tuning)
    for size in sizes:
        estimator.add(size)
    return estimator.estimate()


def test_nothing_costs_nothing() -> None:
    nothing = of()
    assert (nothing.request_cost(Prices()), nothing.seconds(1)) == (0, 0)
    assert nothing == (0, 0, 0, 0, 0, 0, 0, 0, 0, (), Stock())


@pytest.mark.parametrize(
    ("size", "requests", "parts_sent"),
    [(0, 1, 0), (8 * MIB - 1, 1, 0), (8 * MIB, 4, 2), (10 * MIB, 4, 2), (10 * MIB + 1, 5, 3)],
)
def test_a_file_of_the_threshold_goes_up_in_parts(size: int, requests: int, parts_sent: int) -> None:
    found = of(size)
    assert (found.requests, found.parts, found.multipart) == (requests, parts_sent, int(parts_sent > 0))
    assert (found.files, found.size, found.sent) == (1, size, size)


def test_parts_become_longer_where_there_would_be_too_many() -> None:
    found = of(8 * MIB, 60 * GIB)
    assert (found.longest_part, found.enlarged, found.multipart) == (7 * MIB, 1, 2)
    assert found.parts == 2 + -(-60 * GIB // (7 * MIB))


@pytest.mark.parametrize("size", [MAX_OBJECT + 1, 10_000 * 64 * MIB + 1])
def test_what_cannot_be_sent_is_in_no_other_number(size: int) -> None:
    assert of(size) == (0, 0, 0, 0, 0, 0, 0, 0, 1, (), Stock())


def test_an_upload_in_progress_is_gone_on_with() -> None:
    checksum = Checksum(Algorithm.CRC32C, b"1234")
    receipts = tuple(Receipt(number, 6 * MIB, "etag", checksum) for number in (1, 3))
    estimator = Estimator(TUNING)
    estimator.add(20 * MIB, Upload("id", "nonce", 6 * MIB, Algorithm.CRC32C, receipts))
    found = estimator.estimate()
    assert (found.parts, found.requests, found.sent, found.size) == (2, 4, 8 * MIB, 20 * MIB)
    assert (found.longest_part, found.enlarged) == (6 * MIB, 1)


def test_what_it_costs_and_how_long_it_takes() -> None:
    found = of(*[1000] * 4000)
    assert found.request_cost(Prices()) == pytest.approx(0.02)
    assert found.request_cost(Prices(requests=1.0)) == pytest.approx(4.0)
    assert of(8 * MIB, 1).request_cost(Prices(requests=1000.0, parts=1.0)) == pytest.approx(2.003)
    assert found.seconds(1_000_000) == pytest.approx(4.0)


def test_what_the_store_will_have() -> None:
    assert of(0, SMALL - 1, SMALL, 8 * MIB).stock == Stock(4, 8 * MIB + 2 * SMALL - 1, 2, SMALL - 1)


def test_bins_stand_without_a_gap_from_the_smallest_to_the_largest() -> None:
    assert of(KIB - 1, KIB, 4 * KIB - 1, 64 * KIB).bins == (
        Bin(0, 1, KIB - 1),
        Bin(KIB, 2, 5 * KIB - 1),
        Bin(4 * KIB, 0, 0),
        Bin(16 * KIB, 0, 0),
        Bin(64 * KIB, 1, 64 * KIB),
    )


@given(st.lists(st.integers(0, 200 * MIB), max_size=20))
def test_the_sum_is_that_of_the_requests(sizes: list[int]) -> None:
    found = of(*sizes)
    counted = [len(list(parts(size, TUNING.part_size))) + 2 if size >= 8 * MIB else 1 for size in sizes]
    assert found.requests == sum(counted)
    assert sum(each.files for each in found.bins) == found.files == len(sizes)
    assert sum(each.size for each in found.bins) == found.size == found.sent == sum(sizes)
    for size in sizes:
        (bin_,) = [each for each in found.bins if each.least <= size < max(each.least * 4, KIB)]
        assert bin_.files
