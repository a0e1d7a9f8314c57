from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.audit.merge import Merge, Pair, Verdict, judge
from asyncmirror.checksum import compute
from asyncmirror.errors import BucketError
from asyncmirror.journal.ordered import Kept
from asyncmirror.model import Algorithm, Checksum, Completed, Identity, RemoteObject

CRC = Algorithm.CRC64NVME
KEYS = st.sets(st.text("ab/-é😀\ue000", min_size=1, max_size=4), max_size=20)


def kept(key: str, size: int = 3, etag: str = "e", checksum: Checksum | None = None) -> Kept:
    completed = Completed(Identity(0, 1, size, 2, 3), checksum or compute(CRC, b"abc"), etag, 0)
    return Kept(key, 1, b"", key.encode(), completed)


def remote(key: str, size: int = 3, etag: str = "e") -> RemoteObject:
    return RemoteObject(key, size, etag)


LINK = compute(CRC, b"")


def merged(rows: Iterable[str], listed: Sequence[RemoteObject]) -> list[Pair]:
    merge = Merge([kept(key) for key in rows])
    return [*(pair for each in listed for pair in merge.add(each)), *merge.rest()]


@given(KEYS, KEYS)
def test_every_key_of_either_stream_comes_once_with_what_both_say(rows: set[str], listed: set[str]) -> None:
    pairs = merged(sorted(rows, key=str.encode), [remote(key) for key in sorted(listed, key=str.encode)])
    told = [(pair.kept and pair.kept.key, pair.remote and pair.remote.key) for pair in pairs]
    expected = sorted(rows | listed, key=str.encode)
    assert told == [(key if key in rows else None, key if key in listed else None) for key in expected]


@pytest.mark.parametrize("listed", [["b", "a"], ["a", "a"], ["\U0001f600", "\ue000"]])
def test_a_listing_out_of_order_is_no_evidence(listed: list[str]) -> None:
    with pytest.raises(BucketError, match="out of order"):
        merged(["a", "b"], [remote(key) for key in listed])


def test_a_listing_that_does_not_begin_where_it_was_asked_to_is_no_evidence() -> None:
    with pytest.raises(BucketError, match="out of order"):
        list(Merge([], "b").add(remote("a")))


@pytest.mark.parametrize(
    ("row", "seen", "verdict", "reason"),
    [
        (kept("k"), remote("k"), Verdict.EQUAL, ""),
        (kept("k"), None, Verdict.MISSING, "it is not in the bucket"),
        (None, remote("k"), Verdict.EXTRA, "the journal does not know it"),
        (kept("k"), remote("k", size=2), Verdict.DIFFERENT, "it has 2 bytes in the bucket; 3 were confirmed"),
        (kept("k"), remote("k", size=0), Verdict.DIFFERENT, "it has 0 bytes in the bucket; 3 were confirmed"),
        (kept("k"), remote("k", etag="f"), Verdict.DIFFERENT, "its ETag in the bucket is f; e was confirmed"),
        # A store that told no ETag, then or now, leaves the size.
        (kept("k", etag=""), remote("k"), Verdict.EQUAL, ""),
        (kept("k"), remote("k", etag=""), Verdict.EQUAL, ""),
        (kept("k", etag=""), remote("k", size=4), Verdict.DIFFERENT, "it has 4 bytes in the bucket; 3 were confirmed"),
        # A symbolic link on record: its size is the link's, its object is empty.
        (kept("k", checksum=LINK), remote("k", size=0), Verdict.EQUAL, ""),
        (kept("k", checksum=LINK), remote("k", size=1), Verdict.DIFFERENT, "it has 1 bytes in the bucket; 3 were confirmed"),
        (
            kept("k", checksum=LINK),
            remote("k", size=0, etag="f"),
            Verdict.DIFFERENT,
            "its ETag in the bucket is f; e was confirmed",
        ),
    ],
)
def test_the_verdict(row: Kept | None, seen: RemoteObject | None, verdict: Verdict, reason: str) -> None:
    finding = judge(Pair(row, seen))
    assert (finding.verdict, finding.reason, finding.key) == (verdict, reason, "k")
