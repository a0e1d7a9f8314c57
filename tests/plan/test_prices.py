"""What a month and a request cost, by storage class, held against the sums by hand."""

import pytest

from asyncmirror.plan.prices import SMALL, TB, Prices, Stock, monthly, once, quote
from asyncmirror.sizes import KIB

LARGE = Stock().plus([TB] * 2)
"""Two objects of a TB."""


@pytest.mark.parametrize(
    ("storage_class", "month", "put"),
    [
        (None, 46.0, 0.005),
        ("STANDARD", 46.0, 0.005),
        ("INTELLIGENT_TIERING", 46.000005, 0.005),
        ("STANDARD_IA", 25.0, 0.01),
        ("ONEZONE_IA", 20.0, 0.01),
        ("GLACIER_IR", 8.0, 0.02),
        ("DEEP_ARCHIVE", 1.98, 0.05),
    ],
)
def test_a_month_and_a_thousand_requests(storage_class: str | None, month: float, put: float) -> None:
    found = quote(storage_class)
    assert found.known
    assert found.listed
    assert monthly(LARGE, found.prices) == pytest.approx(month, abs=1e-6)
    assert once(1000, 1000, found.prices) == pytest.approx(put)


@pytest.mark.parametrize("storage_class", ["STANDARD_IA", "ONEZONE_IA", "GLACIER_IR"])
def test_small_objects_are_charged_as_if_they_were_larger(storage_class: str) -> None:
    prices = quote(storage_class).prices
    stock = Stock().plus([0, 1000, SMALL - 1, SMALL])
    assert monthly(stock, prices) == pytest.approx(4 * SMALL / TB * prices.storage)
    assert monthly(stock, Prices()) == pytest.approx((1000 + 2 * SMALL - 1) / TB * 23)


def test_beside_an_archived_object_something_else_is_kept() -> None:
    found = monthly(Stock().plus([0] * 1_000_000), quote("DEEP_ARCHIVE").prices)
    assert found == pytest.approx((32 * KIB * 0.99 + 8 * KIB * 23) / 10**6)


def test_only_what_is_not_small_is_monitored() -> None:
    prices = quote("INTELLIGENT_TIERING").prices
    assert monthly(Stock().plus([SMALL - 1] * 1000), prices) == pytest.approx(
        monthly(Stock().plus([SMALL - 1] * 1000), Prices())
    )
    assert monthly(Stock().plus([SMALL] * 1000), prices) == pytest.approx(1000 * SMALL / TB * 23 + 0.0025)


def test_parts_of_an_archived_object_cost_what_they_do_in_s3_standard() -> None:
    assert once(1, 1001, quote("DEEP_ARCHIVE").prices) == pytest.approx(0.005 + 0.00005)
    assert once(1, 1001, quote("GLACIER_IR").prices) == pytest.approx(0.02 + 0.00002)


def test_what_is_given_prevails() -> None:
    found = quote("GLACIER_IR", storage=1.0)
    assert (found.prices.storage, found.prices.requests, found.listed) == (1.0, 0.02, ("requests",))
    found = quote(None, storage=1.0, requests=2.0)
    assert (found.prices.storage, found.prices.requests, found.prices.parts, found.listed) == (1.0, 2.0, 2.0, ())
    assert quote("DEEP_ARCHIVE", requests=2.0).prices.parts == 0.005


def test_a_class_that_nobody_knows_has_the_prices_of_s3_standard_and_says_so() -> None:
    found = quote("COLD")
    assert (found.prices, found.known, found.storage_class) == (Prices(), False, "COLD")


def test_stocks_are_added_up() -> None:
    some, more = Stock().plus([1, SMALL]), Stock().plus([2])
    assert some.and_(more) == Stock().plus([1, SMALL, 2]) == Stock(3, SMALL + 3, 2, 3)
