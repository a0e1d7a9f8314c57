"""The story of scripts/release-adopt, with a small release, and s5cmd alone."""

import tempfile
from dataclasses import replace
from pathlib import Path

from asyncmirror.sizes import MIB
from asyncmirror.testing import S3Server
from tests.release.account import Account
from tests.release.takeover import Stage, Takeover
from tests.release.test_show import SETTINGS
from tests.release.tree import make
from tests.release.workplace import Workplace
from tests.soak.strict import BUCKET, strict


def test_what_s5cmd_uploaded_is_taken_over_and_what_is_damaged_mended(tmp_path: Path) -> None:
    told: list[str] = []
    account = Account(told.append)
    release = make(tmp_path / "dvs_ro" / "public", 200, seed=3, part=3 * MIB)
    with tempfile.TemporaryDirectory(prefix="am-") as name, strict() as server:

        def rot(key: str, data: bytes) -> None:
            def put(each: S3Server) -> None:
                each.put(BUCKET, key, replace(each.objects(BUCKET)[key], body=data))

            server.do(put)

        work = Workplace(Path(name), server.site, release.root, release.root, SETTINGS)
        stage = Stage(release, server.site, work, server.settled, rot, programs=("s5cmd",), looks=(), paths=2)
        Takeover(account, stage, seed=3).tell()
    assert not account.end(), "\n".join(told)
