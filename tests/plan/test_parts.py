import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.errors import RefusedError
from asyncmirror.plan.parts import MAX_OBJECT, MAX_PARTS, part_size, parts
from asyncmirror.settings import MAX_PART_SIZE
from asyncmirror.sizes import GIB, MIB

NO_LIMIT = 1 << 50


@pytest.mark.hazard(38)
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, 16 * MIB),
        (MAX_PARTS * 16 * MIB, 16 * MIB),
        (MAX_PARTS * 16 * MIB + 1, 17 * MIB),
        (MAX_OBJECT, MAX_PART_SIZE),
    ],
)
def test_the_part_size_grows_only_where_ten_thousand_parts_would_not_do(size: int, expected: int) -> None:
    assert part_size(size, 16 * MIB, NO_LIMIT) == expected


@pytest.mark.hazard(38)
@given(st.integers(1, MAX_OBJECT), st.integers(5 * MIB, MAX_PART_SIZE))
def test_no_file_needs_more_parts_than_s3_takes(size: int, preferred: int) -> None:
    chosen = part_size(size, preferred, NO_LIMIT)
    assert preferred <= chosen <= MAX_PART_SIZE
    assert -(-size // chosen) <= MAX_PARTS


@pytest.mark.hazard(38)
@given(st.integers(0, 5000), st.integers(1, 700))
def test_parts_cover_the_file_exactly_and_in_order(size: int, length: int) -> None:
    found = list(parts(size, length))
    assert [part.number for part in found] == list(range(1, len(found) + 1))
    assert sum(part.length for part in found) == size
    assert all(part.offset == (part.number - 1) * length for part in found)
    assert all(part.length == length for part in found[:-1])


def test_more_than_s3s_largest_object_is_refused() -> None:
    with pytest.raises(RefusedError, match="largest object"):
        part_size(MAX_OBJECT + 1, 16 * MIB, NO_LIMIT)


def test_a_part_that_memory_does_not_allow_is_refused_with_the_flag_that_helps() -> None:
    with pytest.raises(RefusedError, match=r"--max-memory 525MiB"):
        part_size(5 * 1024 * GIB, 16 * MIB, 512 * MIB)
