"""The story of scripts/release-show, with a small release."""

import tempfile
from pathlib import Path

from asyncmirror.sizes import MIB
from tests.acceptance.command import Site
from tests.acceptance.servers import serve
from tests.release.account import Account
from tests.release.show import Show
from tests.release.tree import make
from tests.release.workplace import Workplace

SETTINGS = '[limits]\npart-size = "5MiB"\nmultipart-threshold = "5MiB"\n'


def test_a_release_is_mirrored_as_it_always_was(tmp_path: Path) -> None:
    told: list[str] = []
    account = Account(told.append)
    release = make(tmp_path / "dvs_ro" / "public", 300, seed=2, part=5 * MIB)
    (tmp_path / "global").symlink_to("dvs_ro")
    # The tree is read by a user who may not pass everywhere.
    with tempfile.TemporaryDirectory(prefix="am-") as name, serve("asyncmirror.testing", "--bucket", "box") as server:
        site = Site(server.url, "box")
        work = Workplace(Path(name), site, release.root, tmp_path / "global" / "public", SETTINGS)
        work.use(release.root, max_size="16MiB", min_size="2MiB")
        Show(account, release, server, site, work, looks=((), ("--deep", "--download", "--sidecars"))).tell()
    assert not account.end(), "\n".join(told)
