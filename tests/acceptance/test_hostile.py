"""A tree as bad as file systems allow, mirrored by an ordinary user: every regular file's bytes, every other entry's reason."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from asyncmirror.plan import keys
from tests.acceptance.command import Run, Runner, Site, sync
from tests.acceptance.evidence import client, regular_files, wrong
from tests.acceptance.servers import Server, serve

MIB = 1 << 20
INCOMPLETE = 3
NAMES = (
    b"byte-\xff",
    b"\x80\xfe",
    b"truncated-\xe2\x90",
    "escape-␛FF".encode(),
    "escape-␛".encode(),
    b"new\nline",
    b"return\r",
    b"tab\t",
    b"esc\x1b[2J",
    b"bell\x07",
    b"delete\x7f",
    b"%",
    b"%41",
    b"%2F",
    b"A",
    b" leading",
    b"trailing ",
    b" ",
    b"'single'",
    b'"double"',
    b"`back`",
    b"back\\slash",
    b"a&b<c>;d",
    b"#hash?query=1&x",
    b"+plus",
    b"=equals",
    b"*?[]{}",
    b"-dash",
    b"...",
    b"~",
    b"$HOME",
    "é".encode(),  # NFC
    "e\u0301".encode(),  # NFD
    b"Case",
    b"case",
    b"CASE",
    "right\u202eleft".encode(),
    "\ufffe".encode(),
    "smile-😀".encode(),
    "日本語".encode(),
    b"x" * 255,
)


class Store(NamedTuple):
    """Where to, and the server if its log can be read."""

    site: Site
    server: Server | None
    newlines: bool = True


@contextlib.contextmanager
def moto() -> Iterator[Store]:
    with serve("asyncmirror.testing.moto", "--bucket", "box") as server:
        yield Store(Site(server.url, "box"), server, newlines=False)


@contextlib.contextmanager
def strict() -> Iterator[Store]:
    with serve("asyncmirror.testing", "--bucket", "box") as server:
        yield Store(Site(server.url, "box"), server)


@contextlib.contextmanager
def real() -> Iterator[Store]:
    names = ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY")
    url, access_key, secret_key = (os.environ[f"ASYNCMIRROR_TEST_{name}"] for name in names)
    site = Site(url, f"hostile-{uuid.uuid4().hex[:12]}", access_key, secret_key)
    with client(site) as s3:
        s3.create_bucket(Bucket=site.bucket)
    yield Store(site, None)


STORES = {"moto": moto, "strict": strict, "real": real}


@pytest.fixture(params=["moto", "strict", pytest.param("real", marks=pytest.mark.real)])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with STORES[request.param]() as opened:
        yield opened


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Path]:
    """The tree. What is outside of it must not be read."""
    root = os.fsencode(tmp_path / "tree")
    for directory in (b"names", b"plain", b"odd", b"empty", b"closed", b"\xff\n/\x1b", b"/".join([b"deep"] * 100)):
        os.makedirs(os.path.join(root, directory))

    def write(path: bytes, data: bytes) -> None:
        with open(os.path.join(root, path), "wb") as file:
            file.write(data)

    for name in NAMES:
        write(b"names/" + name, b"the bytes of " + name)
    for path in (
        b"\xff\n/\x1b/file",
        b"/".join([b"deep"] * 100) + b"/file",
        b"closed/file",
        b"odd/closed",
    ):
        write(path, b"the bytes of " + path)
    write(b"plain/a.txt", b"")
    write(b"plain/large.bin", os.urandom(11 * MIB))
    write(b"names/large \xff", os.urandom(8 * MIB))
    longest = b"/".join([b"y" * 250] * 4)
    os.makedirs(os.path.join(root, longest))
    write(longest + b"/" + b"z" * 20, b"a key of 1,024 bytes")
    write(longest + b"/" + b"z" * 21, b"a key of 1,025 bytes")
    (tmp_path / "outside").write_bytes(b"a secret")

    odd = tmp_path / "tree" / "odd"
    os.mkfifo(odd / "fifo")
    (odd / "broken").symlink_to("absent")
    (odd / "outward").symlink_to(tmp_path / "outside")
    (odd / "circle-1").symlink_to("circle-2")
    (odd / "circle-2").symlink_to("circle-1")
    (odd / "inward").symlink_to("../plain/a.txt")
    (odd / "upward").symlink_to("..")
    (odd / "closed").chmod(0)
    (tmp_path / "tree" / "closed").chmod(0)
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(odd):
        listener.bind("socket")  # a longer path would not fit into its address
    yield tmp_path / "tree"
    (tmp_path / "tree" / "closed").chmod(0o700)


LONGEST = b"/".join([b"y" * 250] * 4) + b"/"
NEVER = {
    b"empty": ("excluded", "an empty directory"),
    b"closed": ("unreadable", "permission denied"),
    b"odd/closed": ("unreadable", "permission denied"),
    b"odd/fifo": ("unsupported", "a FIFO"),
    b"odd/socket": ("unsupported", "a socket"),
    LONGEST + b"z" * 21: ("refused", "1,025 bytes long"),
}
SKIPPED = {
    f"odd/{name}".encode(): ("unsupported", "a symbolic link")
    for name in ("broken", "outward", "circle-1", "circle-2", "inward", "upward")
}
FOLLOWED = {
    b"odd/broken": ("unsupported", "a broken symbolic link"),
    b"odd/outward": ("unsupported", "outside the source"),
    b"odd/circle-1": ("unsupported", "in a circle"),
    b"odd/circle-2": ("unsupported", "in a circle"),
    b"odd/upward": ("unsupported", "in a circle"),
}


def expected(tree: Path) -> dict[str, tuple[Path, int]]:
    """The files that can be mirrored, by key."""
    cannot = {keys.encode(path) for path in NEVER}
    return {key: found for key, found in regular_files(tree).items() if key not in cannot and not key.startswith("closed/")}


def assert_reasons(run: Run, reasons: dict[bytes, tuple[str, str]]) -> None:
    """What is no complete file is reported so, and nothing else is."""
    left_out = {path: line for path, line in run.objects.items() if line["outcome"] not in ("complete", "unchanged")}
    assert left_out.keys() == reasons.keys()
    for path, (outcome, reason) in reasons.items():
        assert left_out[path]["outcome"] == outcome
        assert reason in left_out[path]["reason"]


@pytest.mark.hazard(33, 34, 36, 37)
def test_every_byte_and_every_reason(hostile: Path, store: Store, home: Path) -> None:
    if not store.newlines:
        (hostile / "names" / "new\nline").unlink()
        shutil.rmtree(os.path.join(os.fsencode(hostile), b"\xff\n"))
    runner = Runner(home, store.site.environment(home), ordinary=True)
    arguments = sync(hostile, store.site, home / "journal", "--part-size", "5MiB", "--multipart-threshold", "6MiB")
    files = expected(hostile)

    first = runner.run(*arguments)
    assert first.code == first.summary["exit_code"] == INCOMPLETE, first.error
    assert_reasons(first, NEVER | SKIPPED)
    assert {line["key"] for line in first.objects.values() if line["outcome"] == "complete"} == files.keys()
    assert all(keys.decode(line["key"]) == path for path, line in first.objects.items() if line["key"])
    assert all(line.isprintable() for line in first.error.splitlines()), "a name reached the terminal as it is"
    assert wrong(store.site, files) == []

    start = len(store.server.settled()) if store.server else 0
    second = runner.run(*arguments)
    assert second.code == INCOMPLETE
    assert second.summary["bytes_sent"] == 0
    assert second.summary["unchanged"] == first.summary["complete"] == len(files)
    assert_reasons(second, NEVER | SKIPPED)
    if store.server:
        assert not [request for request in store.server.settled()[start:] if request.body]


@pytest.mark.hazard(34, 35)
def test_links_that_are_followed_never_lead_outside(hostile: Path, site: Site, home: Path) -> None:
    runner = Runner(home, site.environment(home), ordinary=True)
    run = runner.run(*sync(hostile, site, home / "journal", "--symlinks", "follow"))
    assert run.code == INCOMPLETE, run.error
    assert_reasons(run, NEVER | FOLLOWED)
    inward = {"odd/inward": (hostile / "plain" / "a.txt", 0)}
    assert wrong(site, expected(hostile) | inward) == []


def test_links_that_are_recorded_are_empty_and_tell_their_target(hostile: Path, site: Site, home: Path) -> None:
    runner = Runner(home, site.environment(home), ordinary=True)
    run = runner.run(*sync(hostile, site, home / "journal", "--symlinks", "record"))
    assert run.code == INCOMPLETE, run.error
    assert_reasons(run, NEVER)
    links = [path.decode() for path in SKIPPED]
    assert wrong(site, expected(hostile) | {key: (Path(os.devnull), 0) for key in links}) == []
    with client(site) as s3:
        for key in links:
            metadata = s3.head_object(Bucket=site.bucket, Key=key)["Metadata"]
            assert metadata["symlink-target"] == os.readlink(hostile / key)


YESTERDAY = time.time() - 86400


def rclone(tree: Path, site: Site) -> list[str]:
    """The command line that compares tree and bucket by size and, where there is one, MD5."""
    remote = f":s3,provider=Other,env_auth,force_path_style,endpoint='{site.url}':{site.bucket}"
    return ["rclone", "check", str(tree), remote, "--combined", "-", "--retries", "1"]


def aws(tree: Path, site: Site) -> list[str]:
    """The command line that tells what would be sent: by size and time."""
    return ["aws", "s3", "sync", str(tree), f"s3://{site.bucket}", "--dryrun"]


@pytest.mark.parametrize("peer", [rclone, aws])
def test_peers_find_nothing_to_do(
    peer: Callable[[Path, Site], list[str]], store: Store, home: Path, tree: Path, tmp_path: Path
) -> None:
    (tree / "with space + plus").write_bytes(b"space")
    (tree / "日本語.txt").write_bytes(b"text")
    (tree / "empty.fits").write_bytes(b"")
    (tree / "large.bin").write_bytes(os.urandom(11 * MIB))
    for path in tree.rglob("*"):
        os.utime(path, (YESTERDAY, YESTERDAY))  # stores keep whole seconds: a file of this very second would seem newer
    program, *arguments = peer(tree, store.site)
    found = shutil.which(program, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{program} is not installed")

    def ask() -> tuple[int, list[str]]:
        environment = store.site.environment(home) | {"RCLONE_CONFIG": str(tmp_path / "rclone.conf")}
        done = subprocess.run([found, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, [line for line in done.stdout.splitlines() if not line.startswith("= ")]

    assert len(ask()[1]) == 24, "before anything was sent, it has every file to complain of"
    runner = Runner(home, store.site.environment(home))
    run = runner.run(*sync(tree, store.site, home / "journal", "--part-size", "5MiB", "--multipart-threshold", "8MiB"))
    assert (run.code, run.error) == (0, "")
    assert ask() == (0, [])
