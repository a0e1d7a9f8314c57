"""docs/guarantees.md against the tests: every one that a promise names is there, and every promise names some."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from asyncmirror.testing.profiles import HETZNER, MINIO, STORAGEGRID, Profile

TESTS = Path(__file__).parent
TEXT = (TESTS.parent / "docs" / "guarantees.md").read_text(encoding="utf-8")
PROMISES = TEXT.partition("## Promised")[2].partition("\n## ")[0].split("\n\n**")[1:]
_NAMED = re.compile(r"`([^`\s]+\.py)::([^`\s]+)`")


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of a file's tests, of those in classes with the class before them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body:
        inside = [(f"{node.name}::", each) for each in node.body] if isinstance(node, ast.ClassDef) else [("", node)]
        found |= {f"{before}{each.name}" for before, each in inside if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    return frozenset(found)


@pytest.mark.parametrize(("file", "name"), _NAMED.findall(TEXT))
def test_a_test_that_is_named_is_there(file: str, name: str) -> None:
    assert name in names_in(TESTS / file)
    assert name.rpartition("::")[2].startswith("test_")


def test_every_promise_names_its_tests() -> None:
    assert len(PROMISES) == 11
    assert all(_NAMED.search(promise) for promise in PROMISES)


@pytest.mark.parametrize(("column", "profile"), [(4, MINIO), (5, STORAGEGRID), (6, HETZNER)], ids=lambda value: str(value)[:9])
def test_what_is_assumed_of_a_store_is_its_profile(column: int, profile: Profile) -> None:
    table = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("|")][3:]
    told = {row[0]: row[column] == "yes" for row in table}
    assert told == {
        "bytes come back as sent": not profile.frames_bodies,
        "signed SHA-256 of a body verified": profile.checks,
        "`x-amz-checksum-*` verified, kept and told": profile.verifies_checksums,
        "Content-MD5 verified (not sent)": profile.verifies_content_md5,
        "checksum of an object of parts verified": profile.verifies_checksums,
        "size of an object of parts verified": profile.verifies_object_size,
        "`If-None-Match` by PutObject": profile.conditional_writes,
        "`If-None-Match` by CompleteMultipartUpload": profile.conditional_writes and profile.conditional_completes,
        "unfinished uploads and their parts listed": profile.checks,
    }
