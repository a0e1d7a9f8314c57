import pytest

import asyncmirror
from asyncmirror.engine.mirror import Mirror
from asyncmirror.errors import UsageError
from asyncmirror.settings import Destination, ObjectOptions, Settings, Tuning
from asyncmirror.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 64 << 20),
        ("64M", 64 << 20),
        ("64mb", 64_000_000),
        ("5GB", 5_000_000_000),
        ("0B", 0),
        ("1.5 KiB", 1536),
        ("2T", 2 << 40),
    ],
)
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["64", "", "MiB", "-1MiB", "1 furlong", "1iB2", "٣MiB x"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (512, "512 B"), (1536, "1.5 KiB"), (64 << 20, "64 MiB"), (3 << 49, "1.5 PiB"), (5 << 62, "20480 PiB")],
)
def test_a_size_is_written_for_people(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "bucket", "prefix"),
    [("s3://desidata", "desidata", ""), ("s3://desidata/", "desidata", ""), ("s3://b.c-d/edr/x y/", "b.c-d", "edr/x y")],
)
def test_a_destination_is_read(text: str, bucket: str, prefix: str) -> None:
    assert Destination.parse(text) == Destination(bucket, prefix)


@pytest.mark.parametrize(
    "text", ["desidata", "s3:/x", "s3://", "s3:///x", "s3://a_b!c", "s3://b//x", "s3://b/../x", "s3://b/./x", "s3://b/a\n"]
)
def test_a_malformed_destination_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        Destination.parse(text)


@pytest.mark.parametrize(
    ("name", "value"), [("concurrency", 0), ("part_size", 1 << 20), ("max_attempts", 0), ("max_requests_per_second", -1)]
)
def test_a_setting_out_of_bounds_names_its_flag(name: str, value: int) -> None:
    with pytest.raises(UsageError, match="--" + name.replace("_", "-")):
        Tuning(**{name: value})  # type: ignore[arg-type]  # these are numbers


def test_a_part_must_fit_into_each_process_share_of_memory() -> None:
    with pytest.raises(UsageError, match=r"--loops 40 leaves each process 12\.8 MiB"):
        Tuning(loops=40)


def test_metadata_that_is_our_own_is_refused() -> None:
    with pytest.raises(UsageError, match="--metadata mtime"):
        ObjectOptions(metadata={"Project": "desi", "Mtime": "1"})


def test_a_part_must_fit_into_memory() -> None:
    with pytest.raises(UsageError, match="--max-memory"):
        Tuning(part_size=1 << 30, max_memory=1 << 29)


def test_the_library_gives_its_public_names_and_no_others() -> None:
    assert asyncmirror.Settings is Settings
    assert asyncmirror.Mirror is Mirror
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        asyncmirror.nothing  # noqa: B018  looking it up is what is tested


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bucket", "no S3 URL"),
        ("s3://", "no bucket name"),
        ("s3://b", "no bucket name"),
        ("s3://bucket/a//b", "empty, '.' or '..' component"),
        ("s3://bucket/../b", "empty, '.' or '..' component"),
        ("s3://bucket/a\x1b[2J", "unprintable"),
    ],
)
def test_a_destination_that_would_not_stay_as_it_is_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Destination.parse(text)
