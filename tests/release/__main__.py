"""What scripts/release, scripts/release-show and scripts/release-adopt run: a release made up, mirrored, taken over."""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from asyncmirror.sizes import MIB, format_size
from tests.acceptance.command import Site
from tests.acceptance.evidence import client
from tests.acceptance.servers import Server, gateway, serve
from tests.release.account import Account
from tests.release.show import Show
from tests.release.takeover import Stage, Takeover
from tests.release.tree import Release, make
from tests.release.workplace import Workplace

BUCKET = "box"


def main(arguments: Sequence[str]) -> int:
    """Run it, and give the exit code: 0 only if all was as it must be."""
    options = _parser().parse_args(arguments)
    return {"make": _make, "show": _show, "adopt": _adopt}[options.what](options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/release")
    commands = parser.add_subparsers(dest="what", required=True)
    for name in ("make", "show", "adopt"):
        command = commands.add_parser(name)
        command.add_argument("--files", type=int, default=50_000, help="default: %(default)s")
        command.add_argument("--seed", type=int, default=1, help="default: %(default)s")
        if name == "make":
            command.add_argument("directory", type=Path, metavar="DIR", help="the tree's root, which is not there yet")
        if name == "show":
            command.add_argument("--server", choices=("strict", "rgw"), default="strict", help="default: %(default)s")
    return parser


def _make(options: argparse.Namespace) -> int:
    made = make(options.directory.absolute(), options.files, options.seed)
    sys.stdout.write(f"{made.files:,} files, {format_size(made.size)}, {made.links:,} links in {made.root}\n")
    return 0


def _show(options: argparse.Namespace) -> int:
    account = Account()
    with _scene(options) as (work, release, server):
        site = Site(server.url, BUCKET)
        place = Workplace(work / "desk", site, release.root, work / "global" / "public")
        place.use(release.root, max_size="64MiB", min_size="16MiB")
        Show(account, release, server, site, place).tell()
    return account.end()


def _adopt(options: argparse.Namespace) -> int:
    account = Account()
    options.server = "rgw"
    with _scene(options) as (work, release, server):
        site = Site(server.url, BUCKET)
        place = Workplace(work / "desk", site, release.root, work / "global" / "public")
        stage = Stage(release, site, place, server.settled, Rados(work / "rgw").overwrite)
        Takeover(account, stage, options.seed).tell()
    return account.end()


class Rados:
    """The disks of a gateway, where bytes can be changed that the gateway does not look at."""

    def __init__(self, directory: Path) -> None:
        self._command = ["rados", "--conf", str(directory / "ceph.conf"), "--pool", "default.rgw.buckets.data"]
        self._scratch = directory / "scratch"

    def overwrite(self, key: str, data: bytes) -> None:
        """Other bytes, as many, for a small object."""
        names = subprocess.run([*self._command, "ls"], check=True, capture_output=True, text=True).stdout.splitlines()
        (name,) = [name for name in names if name.partition("_")[2] == key]
        self._scratch.write_bytes(data)
        subprocess.run([*self._command, "put", name, self._scratch], check=True)


@contextlib.contextmanager
def _scene(options: argparse.Namespace) -> Iterator[tuple[Path, Release, Server]]:
    """A release with two paths to it, an empty desk, and a store with an empty bucket."""
    with tempfile.TemporaryDirectory(prefix="am-") as name, contextlib.ExitStack() as scope:
        work = Path(name)
        (work / "desk").mkdir()
        if options.server == "strict":
            server = scope.enter_context(serve("asyncmirror.testing", "--bucket", BUCKET))
        else:
            server = scope.enter_context(gateway(work / "rgw"))
            with client(Site(server.url, BUCKET)) as s3:
                s3.create_bucket(Bucket=BUCKET)
        release = make(work / "dvs_ro" / "public", options.files, options.seed, 16 * MIB)
        (work / "global").symlink_to("dvs_ro")
        yield work, release, server


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
