"""`sync --delete`: what people see of the command, and a Ceph RADOS gateway."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Run, Runner, Site, sync
from tests.soak.strict import Strict, strict
from tests.store.test_contract import BUCKET, REAL, real_site

GONE = ("a/1", "a/2", b"b/\xff\n".decode("utf-8", "surrogateescape"), "deep/er/3")
STAY = ("a/stays", "top")


class Mirrored:
    """A mirrored tree of which some files are gone by now."""

    def __init__(self, home: Path, site: Site) -> None:
        self.root = home / "tree"
        self.journal = home / "journal.sqlite"
        self.site = site
        self._runner = Runner(home, site.environment(home), ordinary=True)
        for name in (*GONE, *STAY):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.fsencode(name))
        assert self.run().code == 0
        for name in GONE:
            (self.root / name).unlink()
        shutil.rmtree(self.root / "deep")

    def run(self, *options: str) -> Run:
        return self._runner.run(*sync(self.root, self.site, self.journal, "--max-attempts", "4", *options))

    def said(self, *options: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a run that tells people."""
        command: tuple[str | Path, ...] = ("sync", self.root, f"s3://{self.site.bucket}", "--journal", self.journal, *options)
        with self._runner.start(*command) as running:
            code = running.process.wait(60)
            return code, running.printed(), running.said()


def fates(run: Run) -> list[str]:
    return [line["fate"] for line in run.lines if line["event"] == "deletion"]


@pytest.fixture
def server() -> Iterator[Strict]:
    with strict() as running:
        yield running


def test_what_would_go_is_listed_and_then_goes(server: Strict, tmp_path: Path) -> None:
    mirrored = Mirrored(tmp_path, server.site)
    code, out, err = mirrored.said("--delete", "--dry-run")
    assert code == 0, err
    listed, _, _ = out.partition("\n\n")  # what it comes to follows
    assert sorted(listed.splitlines()) == sorted(
        f"(dry run: delete) {key}" for key in ("a/1", "a/2", "b/␛FF\\x0a", "deep/er/3")
    ), out
    assert "would delete 4 objects" in err
    assert len(server.objects()) == len(GONE) + len(STAY)
    run = mirrored.run("--delete")
    assert (run.code, fates(run)) == (0, ["deleted"] * 4)
    assert run.summary["deletions"]["deleted"] == 4
    assert server.objects().keys() == set(STAY)
    assert [request.op for request in server.settled()].count("DeleteObjects") == 1


def test_a_directory_that_may_not_be_listed_holds_everything_back_in_one_line(server: Strict, tmp_path: Path) -> None:
    mirrored = Mirrored(tmp_path, server.site)
    (mirrored.root / "a").chmod(0)
    try:
        code, _, err = mirrored.said("--delete", "--quiet")
    finally:
        (mirrored.root / "a").chmod(0o755)
    assert code == 3
    assert [line for line in err.splitlines() if "deleted" in line] == [
        "nothing was deleted: the run had errors: 1 unreadable (mend or --exclude them, and run the same command again)"
    ]
    assert len(server.objects()) == len(GONE) + len(STAY)


@pytest.mark.parametrize("part", [("--subdir", "a"), ("--delete-unknown", "--no-delete")])
def test_what_can_not_be_meant_is_refused(server: Strict, tmp_path: Path, part: tuple[str, ...]) -> None:
    mirrored = Mirrored(tmp_path, server.site)
    run = mirrored.run("--delete", *part)
    assert (run.code, run.lines) == (2, [])
    assert len(run.error.splitlines()) == 1


def test_with_several_loops(server: Strict, tmp_path: Path) -> None:
    mirrored = Mirrored(tmp_path, server.site)
    run = mirrored.run("--delete", "--loops", "2")
    assert (run.code, fates(run)) == (0, ["deleted"] * 4), run.error
    assert server.objects().keys() == set(STAY)


@pytest.mark.real
def test_on_a_ceph_gateway(tmp_path: Path) -> None:
    if REAL not in os.environ:
        pytest.skip(f"{REAL} is not set")
    keys = (os.environ["ASYNCMIRROR_TEST_ACCESS_KEY"], os.environ["ASYNCMIRROR_TEST_SECRET_KEY"])
    real_site(os.environ[REAL], *keys)
    mirrored = Mirrored(tmp_path, Site(os.environ[REAL], f"{BUCKET}/{tmp_path.name}-{os.getpid()}", *keys))
    run = mirrored.run("--delete")
    assert (run.code, fates(run)) == (0, ["deleted"] * 4), run.error
    assert fates(mirrored.run("--delete", "--delete-unknown")) == []
    (mirrored.root / "top").unlink()
    run = mirrored.run("--delete", "--dry-run")
    assert fates(run) == ["planned"]
