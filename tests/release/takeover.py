"""A bucket that other programs filled: taken over without a byte, damaged, found out, and mended.

Owns the order of the story, the kinds of damage, and what must be seen. What is in tree and bucket is found out by `walk`, what
was sent by the store's own log.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asyncmirror.sizes import format_size
from tests.acceptance.command import Site
from tests.acceptance.evidence import client
from tests.acceptance.servers import Request
from tests.release import former
from tests.release.account import Account
from tests.release.tree import Release
from tests.release.walk import compare, listing, path_of, place, walk
from tests.release.workplace import Done, Workplace

DAMAGED = 20
_KINDS = ("truncated", "zero-filled", "flipped", "stale", "deleted")
_ROTTEN = 4


class Stage(NamedTuple):
    """Where it is played. `requests` are all that the store answered so far; `rot` changes bytes behind the store's back."""

    release: Release
    site: Site
    work: Workplace
    requests: Callable[[], Sequence[Request]]
    rot: Callable[[str, bytes], None]
    programs: Sequence[str] = former.PROGRAMS
    looks: Sequence[str] = ("", "--deep", "--download")
    paths: int = 60  # of the queue, or more


class Takeover:
    """One release and one store."""

    def __init__(self, account: Account, stage: Stage, seed: int) -> None:
        self._account = account
        self._stage = stage
        self._chance = random.Random(seed)
        self._found = walk(stage.release.root)

    def tell(self) -> None:
        """All of it."""
        self._uploaded()
        self._adopted()
        self._completed()
        damaged, before = self._damaged()
        self._mended(damaged, before)

    def _uploaded(self) -> None:
        account, stage = self._account, self._stage
        account.head("What the former uploader did with the release")
        queued: list[str] = []
        most = f"{self._found.size // stage.paths}B"
        for release in ("dr1", "edr"):
            where = str(stage.release.root / release)
            done = stage.work.command("batch", where, "--plain", "--max-size", most, "--min-size", "0B", "--symlinks", "follow")
            queued += json.loads(done.out)["queued"]
        began = time.monotonic()
        count = former.upload(queued, stage.release.root, stage.site, stage.work.where, stage.programs)
        account.said("paths of the queue", f"{len(queued):,} in {time.monotonic() - began:.1f} s")
        for name in stage.programs:
            account.said(f"{name} ended with 0 / with an error", f"{count[name, True]} / {count[name, False]}")
        self._left = compare(stage.site, self._found)
        account.said("files that are not in the bucket by then", len(self._left.missing))
        account.said("objects where no file belongs", len(self._left.extra))
        account.held("objects with other bytes", len(self._left.different), not self._left.different)

    def _adopted(self) -> None:
        account, stage = self._account, self._stage
        account.head("asyncmirror adopt")
        mark = len(stage.requests())
        done = stage.work.command("adopt", "--json")
        told = done.summary
        there = len(self._found.files) - len(self._left.missing)
        missing = set(self._left.missing)
        size = sum(size for path, (_, size) in self._found.files.items() if place(path) not in missing)
        account.held(
            "adopted", f"{told['adopted']:,} of {there:,} that are there, {done.seconds:.1f} s", told["adopted"] == there
        )
        account.said("their bytes", format_size(size))
        account.held("exit code", done.code, done.code == (3 if self._left.missing or self._stage.release.nowhere else 0))
        ops = Counter(each.op for each in stage.requests()[mark:])
        sent = sum(ops[op] for op in ("PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload"))
        account.held("requests that change something", sent, sent == 0)
        account.held("bytes sent", told["bytes_sent"], told["bytes_sent"] == 0)
        account.said("requests in all", sum(ops.values()))

    def _completed(self) -> None:
        account, stage = self._account, self._stage
        account.head("asyncmirror sync: what nobody had missed (the directory is opened, the dead links are excluded)")
        (stage.release.root / stage.release.unreadable).chmod(0o755)
        stage.work.exclude([f"/{link}" for link in stage.release.nowhere])
        mark = len(stage.requests())
        done = stage.work.command("sync", "--json", "--quiet")
        account.held("exit code", f"{done.code} after {done.seconds:.1f} s", done.code == 0)
        stored = {path_of(each.key) for each in stage.requests()[mark:] if each.stored}
        account.held("sent, and nothing else", f"{len(stored):,} objects", stored == set(self._left.missing))
        self._compared()

    def _damaged(self) -> tuple[dict[str, str], dict[str, tuple[str, object]]]:
        """Damage objects; gives their kinds by key, and what the bucket lists then."""
        account, stage = self._account, self._stage
        account.head(f"{DAMAGED} objects are damaged")
        with client(stage.site) as s3:
            files = {place(path): file for path, file in self._found.files.items() if file[1]}
            keys = {path_of(key): key for key in listing(s3, stage.site.bucket)}
            plain = sorted(path for path in files if keys[path].isascii() and keys[path].isprintable())
            large = [path for path in plain if files[path][1] > _LARGE]
            small = [path for path in plain if 1 < files[path][1] < _SMALL]
            chosen = [*large[:3], *self._chance.sample(small, DAMAGED - len(large[:3]))]
            damaged = {}
            for number, path in enumerate(chosen):
                kind = "rotten" if number >= DAMAGED - _ROTTEN else _KINDS[number % len(_KINDS)]
                damaged[keys[path]] = kind
                self._damage(s3, keys[path], kind, files[path][0])
            before = listing(s3, stage.site.bucket)
        account.said("how", ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(damaged.values()).items())))
        extra = len(self._left.extra)
        for flag in stage.looks:
            done = stage.work.command("verify", "--json", "--ignore-extra", *filter(None, [flag]))
            named = _named(done)
            expected = {key for key, kind in damaged.items() if kind in _KINDS or flag == "--download"}
            good = named.keys() == expected and done.code == 3
            good = good and all((named[key] == "missing") == (damaged[key] == "deleted") for key in expected)
            text = f"{len(named)}, exit code {done.code}, {done.seconds:.1f} s"
            account.held(f"found by verify {flag}", text, good)
        account.said("objects that the journal does not know", f"{extra} (not looked at: --ignore-extra)")
        return damaged, before

    def _damage(self, s3: Any, key: str, kind: str, path: Path) -> None:
        data = path.read_bytes()
        bucket = self._stage.site.bucket
        if kind == "deleted":
            s3.delete_object(Bucket=bucket, Key=key)
        elif kind == "rotten":
            self._stage.rot(key, bytes([data[0] ^ 1]) + data[1:])
        else:
            changed = {
                "truncated": data[: len(data) // 2],
                "zero-filled": bytes(len(data)),
                "flipped": data[:-1] + bytes([data[-1] ^ 128]),
                "stale": b"an older version of it, of the same size".ljust(len(data), b".")[: len(data)],
            }
            s3.put_object(Bucket=bucket, Key=key, Body=changed[kind])

    def _mended(self, damaged: dict[str, str], before: dict[str, tuple[str, object]]) -> None:
        account, stage = self._account, self._stage
        account.head("verify --download --repair, then sync")
        done = stage.work.command("verify", "--json", "--ignore-extra", "--download", "--repair")
        account.held("to be sent again", done.summary["repaired"], done.summary["repaired"] == DAMAGED)
        mark = len(stage.requests())
        done = stage.work.command("sync", "--json", "--quiet")
        complete, unchanged = done.summary["complete"], done.summary["unchanged"]
        good = (done.code, complete, complete + unchanged) == (0, DAMAGED, len(self._found.files))
        account.held("sync sent / left alone", f"{complete} / {unchanged:,}, {done.seconds:.1f} s", good)
        touched = {each.key for each in stage.requests()[mark:] if each.stored or each.op == "DELETE"}
        account.held("objects that a request was about", len(touched), touched == damaged.keys())
        with client(stage.site) as s3:
            after = listing(s3, stage.site.bucket)
        others = [key for key in before.keys() | after.keys() if key not in damaged and before.get(key) != after.get(key)]
        kept = len(after) - len(damaged)
        account.held("others with another ETag or time", f"{len(others)} of {kept:,}", not others)
        done = stage.work.command("verify", "--json", "--ignore-extra", "--deep", "--download")
        account.held("verify --deep --download", f"exit code {done.code}, {done.seconds:.1f} s", done.code == 0)
        self._compared()

    def _compared(self) -> None:
        """The bucket equals the tree, but for the objects that the former uploader put where no file belongs."""
        found = compare(self._stage.site, self._found)
        wrong = found._replace(extra=sorted(set(found.extra) - set(self._left.extra)))
        self._account.held("the bucket and the tree", wrong or "equal, byte for byte", not wrong)


def _named(done: Done) -> dict[str, str]:
    """What a look found: verdicts by key."""
    return {line["key"]: line["verdict"] for line in done.lines if line["event"] == "finding"}


_LARGE, _SMALL = 1 << 20, 1 << 16
"""Bytes: what is taken of each kind of file. RGW keeps a small object's bytes in one object of RADOS."""
