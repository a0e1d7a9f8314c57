"""What scripts/slurm-show and scripts/systemd-show run: the programs that are there, a server, and the account."""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.acceptance.servers import serve
from tests.release.account import Account
from tests.services import cluster, manager, slurm, systemd


def main(arguments: Sequence[str]) -> int:
    """Show one of them; gives the exit code: 0 only if all was as it must be, 2 where it can't be shown."""
    (what,) = arguments
    programs, buckets, show = {
        "slurm": (cluster.PROGRAMS, slurm.BUCKETS, slurm.show),
        "systemd": (manager.PROGRAMS, systemd.BUCKETS, systemd.show),
    }[what]
    if missing := [program for program in programs if shutil.which(program) is None]:
        sys.stderr.write(f"{what}-show: missing: {', '.join(missing)}\n")
        return 2
    if os.geteuid() != 0:
        sys.stderr.write(f"{what}-show: it needs root\n")
        return 2
    account = Account()
    with (
        tempfile.TemporaryDirectory(prefix=f"asyncmirror-{what}-") as name,
        serve("asyncmirror.testing", *(f"--bucket={bucket}" for bucket in buckets)) as server,
    ):
        show(account, server, Path(name))
    return account.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
