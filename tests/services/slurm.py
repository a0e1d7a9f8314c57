"""A mirror as a Slurm job: examples/slurm under a real Slurm, at its time limit, cancelled, and submitted again.

Owns what is done to it and what must come of that. Slurm looks at time limits every half minute and knows whole minutes, so a
mirror of two minutes is the shortest that has to be queued again.
"""

from collections import Counter
from pathlib import Path

from asyncmirror.sizes import MIB
from tests.acceptance.command import COMMAND, Site
from tests.acceptance.evidence import regular_files, wrong
from tests.acceptance.servers import Server
from tests.release.account import Account
from tests.services.cluster import Cluster, cluster

SCRIPT = Path(__file__).parents[2] / "examples" / "slurm" / "asyncmirror.sbatch"
BUCKETS = ("limit", "cancel")
_LARGE, _SMALL = 40 * MIB, 80
_LIMITS = '[limits]\nbwlimit = "1MiB"\nconcurrency = 4\npart-size = "5MiB"\nmultipart-threshold = "8MiB"\n'
_SHORT = ("--time=2", "--signal=B:INT@80")
"""Two minutes instead of twelve hours, and the signal 80 seconds before (or up to a minute earlier: sbatch(1))."""
_OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


def show(account: Account, server: Server, where: Path) -> None:
    """Do it all, in a directory that is there."""
    tree = where / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(bytes(range(256)) * (_LARGE // 256))
    for number in range(_SMALL):
        (tree / f"small-{number}").write_bytes(b"%d" % number * (MIB // 4))
    environment = Site(server.url, BUCKETS[0]).environment(where)
    environment["PATH"] = f"{COMMAND.parent}:{environment['PATH']}"
    (where / "slurm").mkdir()
    with cluster(where / "slurm", environment) as slurm:
        _Show(account, server, slurm, tree, where).tell()


class _Show:
    def __init__(self, account: Account, server: Server, slurm: Cluster, tree: Path, where: Path) -> None:
        self._account = account
        self._server = server
        self._slurm = slurm
        self._tree = tree
        self._where = where

    def tell(self) -> None:
        self._account.head("A job that is longer than its time limit")
        self._limited(*self._mirror("limit"))
        self._account.head("A job that is cancelled, and submitted again")
        self._cancelled(*self._mirror("cancel"))

    def _mirror(self, bucket: str) -> tuple[Path, str]:
        """The working directory of a mirror, and its bucket."""
        desk = self._where / bucket
        desk.mkdir()
        text = f'root = "{self._tree}"\nbucket = "{bucket}"\njournal = "mirror.sqlite"\n{_LIMITS}'
        (desk / "asyncmirror.toml").write_text(text, encoding="utf-8")
        return desk, bucket

    def _limited(self, desk: Path, bucket: str) -> None:
        account = self._account
        job = self._slurm.submit(SCRIPT, options=_SHORT, cwd=desk)
        told = self._slurm.wait(job, *_OVER)
        log = (desk / f"asyncmirror-{job}.log").read_text(encoding="utf-8")
        account.held("state", told["JobState"], told["JobState"] == "COMPLETED")
        account.held("exit code", told["ExitCode"], told["ExitCode"] == "0:0")
        restarts = int(told["Restarts"])
        account.held("times that it was queued again", restarts, restarts > 0)
        account.held("drained before the limit", drained := log.count("143: queued again"), drained == restarts)
        account.held("ended by Slurm", "TIME LIMIT" in log, "TIME LIMIT" not in log)
        account.held("its last word", log.splitlines()[-1], log.endswith("all is mirrored\n"))
        self._in_the_bucket(bucket, 0)

    def _cancelled(self, desk: Path, bucket: str) -> None:
        account, slurm, before = self._account, self._slurm, len(self._server.requests)
        job = slurm.submit(SCRIPT, options=_SHORT, cwd=desk)
        slurm.wait(job, "RUNNING")
        assert self._server.wait(lambda requests: sum(each.stored for each in requests[before:]) > 4)
        slurm.run("scancel", job)
        state = slurm.wait(job, *_OVER)["JobState"]
        log = (desk / f"asyncmirror-{job}.log").read_text(encoding="utf-8")
        account.held("state", state, state == "CANCELLED")
        cut_off = [each for each in self._server.settled()[before:] if each.body and not each.stored]
        account.held("requests cut off", len(cut_off), not cut_off)
        last = log.splitlines()[-1]
        account.held("its last word", last, last == "exit code 143: the same command goes on where it was")
        (desk / "asyncmirror.toml").write_text((desk / "asyncmirror.toml").read_text().replace("1MiB", "off"))
        job = slurm.submit(SCRIPT, options=_SHORT, cwd=desk)
        state = slurm.wait(job, *_OVER)["JobState"]
        account.held("submitted again", state, state == "COMPLETED")
        self._in_the_bucket(bucket, before)

    def _in_the_bucket(self, bucket: str, since: int) -> None:
        pieces = Counter((each.key, each.part) for each in self._server.settled()[since:] if each.body)
        self._account.held("pieces sent", len(pieces), len(pieces) == _SMALL + _LARGE // (5 * MIB))
        twice = {piece: count for piece, count in pieces.items() if count > 1}
        self._account.held("sent twice", twice or "nothing", not twice)
        amiss = wrong(Site(self._server.url, bucket), regular_files(self._tree))
        self._account.held("objects that are not as their files", len(amiss), not amiss)
