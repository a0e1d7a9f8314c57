"""A mirror as a systemd service: examples/systemd under a real systemd, from its start to its stop.

Owns what is done to it and what must come of that. The unit is as it stands there, set up as its README says; a drop-in only
shortens the times after which systemd acts.
"""

import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from asyncmirror.sizes import MIB
from tests.acceptance.command import Site
from tests.acceptance.evidence import regular_files, wrong
from tests.acceptance.servers import PATIENCE, Server
from tests.release.account import Account
from tests.services.manager import Machine, booted

UNIT = Path(__file__).parents[2] / "examples" / "systemd" / "asyncmirror@.service"
BUCKETS = ("box",)
_NAME = "asyncmirror@show"
_TREE = "/srv/tree"
_FILE = "/etc/asyncmirror/show.toml"
_LOG = "/var/log/asyncmirror/show.log"
_LARGE, _SMALL = 40 * MIB, 80
_MIRROR = f"""\
root = "{_TREE}"
bucket = "{BUCKETS[0]}"
[connection]
endpoint-url = "{{url}}"
region = "us-east-1"
[limits]
bwlimit = "{{rate}}"
concurrency = 4
loops = 2
part-size = "5MiB"
multipart-threshold = "8MiB"
[deletion]
delete = true
max-delete = {{most}}
[service]
watch = "{{watch}}"
http = "127.0.0.1:0"
log-file = "{_LOG}"
notify = ["tee /var/lib/asyncmirror/told"]
"""
_AGAIN = 8
_SHORTER = "[Service]\nWatchdogSec=5s\nRestartSec=1s\n"


def show(account: Account, server: Server, where: Path) -> None:
    """Do it all, in a directory that is there."""
    where.chmod(0o755)
    tree = where / "tree"
    tree.mkdir()
    (tree / "large").write_bytes(bytes(range(256)) * (_LARGE // 256))
    for number in range(_SMALL):
        (tree / f"small-{number}").write_bytes(b"%d" % number * (MIB // 4))
    with booted(where, {_TREE: tree}) as machine:
        _Show(account, server, machine, tree).tell()


class _Show:
    def __init__(self, account: Account, server: Server, machine: Machine, tree: Path) -> None:
        self._account = account
        self._server = server
        self._machine = machine
        self._tree = tree
        self._site = Site(server.url, BUCKETS[0])

    def tell(self) -> None:
        self._account.said("systemd", self._machine.run("systemctl", "--version").splitlines()[0])
        for step in (self._starts, self._tells, self._reloads, self._hangs, self._stops, self._ends, self._refuses):
            self._account.head((step.__doc__ or "").strip())
            step()

    def _starts(self) -> None:
        """systemctl start"""
        run = self._machine.run
        run("useradd", "--system", "--home-dir", "/var/lib/asyncmirror", "--shell", "/usr/sbin/nologin", "asyncmirror")
        self._machine.write("/etc/systemd/system/asyncmirror@.service", UNIT.read_text(encoding="utf-8"))
        self._machine.write(f"/etc/systemd/system/{_NAME}.service.d/times.conf", _SHORTER)
        keys = f"[default]\naws_access_key_id = {self._site.access_key}\naws_secret_access_key = {self._site.secret_key}\n"
        self._machine.write("/etc/asyncmirror/show.credentials", keys, 0o600)
        self._configure("1MiB")
        run("systemctl", "daemon-reload")
        self._start()
        exposed = run("systemd-analyze", "security", f"{_NAME}.service").splitlines()[-1]
        self._account.said("systemd-analyze security", exposed.partition(": ")[2])
        self._account.held("its user", user := run("ps", "-o", "user=", "-p", self._pid), user in ("asyncmirror", "asyncmi+"))

    def _tells(self) -> None:
        """systemctl status"""
        self._wait("how far it is", lambda: " files" in self._shown("StatusText") or "MiB" in self._shown("StatusText"))
        self._account.said("STATUS=", self._shown("StatusText"))

    def _reloads(self) -> None:
        """systemctl reload, after the mirror file has become another"""
        before = self._pid
        self._configure("2MiB", "45m")
        self._machine.run("systemctl", "reload", _NAME)
        self._held("ActiveState", "active")
        self._account.held("the same process", self._pid, self._pid == before)
        self._wait("turned", lambda: "bwlimit: 1MiB → 2MiB, by SIGHUP" in self._journal())
        self._wait("turned", lambda: "watch: 1h → 45m, by SIGHUP" in self._journal())
        self._wait("not turned", lambda: "from the next start on holds what it says of max-delete" in self._journal())

    def _hangs(self) -> None:
        """kill -STOP: the watchdog"""
        before = self._pid
        self._wait_for_bodies(8)
        self._machine.run("kill", "-STOP", before)
        began = time.monotonic()
        self._wait("begun anew", lambda: self._shown("NRestarts") == "1" and self._shown("ActiveState") == "active")
        self._account.said("after seconds", f"{time.monotonic() - began:.0f}")
        self._account.held("another process", self._pid, self._pid not in (before, "0"))
        said = re.findall(r"Watchdog timeout.*|Main process exited.*|Failed with result.*", self._journal())
        self._account.held("systemd's word", "; ".join(said), any("watchdog" in each for each in said))
        self._wait_for_bodies(8)

    def _stops(self) -> None:
        """systemctl stop, in the middle of it"""
        began = time.monotonic()
        self._machine.run("systemctl", "stop", _NAME, seconds=360)
        self._account.said("drained in seconds", f"{time.monotonic() - began:.0f}")
        self._held("ActiveState", "inactive")
        self._held("Result", "success")
        last = self._machine.read(_LOG).splitlines()[-1]
        self._account.held("its exit code", *_found('"exit_code":130', last))
        self._account.held("its processes", left := self._machine.run("pgrep", "-f", "asyncmirror", check=False), not left)

    def _ends(self) -> None:
        """started again without a limit: to the end of a run, and stopped between two"""
        self._configure("off", "45m")
        self._start()
        self._wait("its status", lambda: "exit code 0" in self._shown("StatusText"))
        self._account.said("STATUS=", self._shown("StatusText"))
        began = time.monotonic()
        self._machine.run("systemctl", "stop", _NAME)
        self._account.said("stopped in seconds", f"{time.monotonic() - began:.1f}")
        self._held("Result", "success")
        told = self._machine.read("/var/lib/asyncmirror/told")
        self._account.held("somebody was told", told[:60], '"kind"' in told)
        log = self._machine.read(_LOG)
        self._account.held("runs in the log file", ends := log.count('"event":"summary"'), ends > 1)
        self._account.held("problems in the log file", amiss := log.count('"event":"problem'), amiss == 0)
        files = regular_files(self._tree)  # what else was sent finds out what the store guarantees
        pieces = Counter((each.key, each.part) for each in self._server.settled() if each.body and each.key in files)
        self._account.held("pieces sent", len(pieces), len(pieces) == _SMALL + _LARGE // (5 * MIB))
        twice = sum(count - 1 for count in pieces.values())
        # What was in flight, and what the uploader processes went on with while the one that journals it stood still.
        self._account.held("sent again, after the watchdog", twice, twice <= _AGAIN)
        different = wrong(self._site, files)
        self._account.held("objects that are not as their files", len(different), not different)

    def _refuses(self) -> None:
        """a mirror file that is wrong: a person is needed, and nothing is tried again"""
        self._machine.write(_FILE, f'root = "{_TREE}"\nbucket = "{BUCKETS[0]}"\n[service]\nwatch = "often"\n')
        self._machine.run("systemctl", "start", _NAME, check=False)
        for name, value in {"ActiveState": "failed", "ExecMainStatus": "2", "NRestarts": "0"}.items():
            self._held(name, value)
        said = next((line for line in self._journal().splitlines() if "service.watch" in line), "")
        self._account.held("its word", said, said.startswith("asyncmirror: "))

    def _start(self) -> None:
        self._machine.run("systemctl", "start", _NAME, check=False)
        self._held("ActiveState", "active")
        assert self._shown("ActiveState") == "active", self._journal()

    def _configure(self, rate: str, watch: str = "1h") -> None:
        text = _MIRROR.format(url=self._server.url, rate=rate, watch=watch, most=9 if watch == "1h" else 10)
        self._machine.write(_FILE, text)

    def _shown(self, name: str) -> str:
        return self._machine.run("systemctl", "show", "--property", name, "--value", _NAME)

    @property
    def _pid(self) -> str:
        return self._shown("MainPID")

    def _journal(self) -> str:
        return self._machine.run("journalctl", "--quiet", "--output=cat", "--unit", _NAME)

    def _held(self, name: str, value: str) -> None:
        self._account.held(name, found := self._shown(name), found == value)

    def _wait_for_bodies(self, count: int) -> None:
        before = sum(each.stored for each in self._server.requests)
        assert self._server.wait(lambda requests: sum(each.stored for each in requests) >= before + count), self._journal()

    def _wait(self, label: str, reached: Callable[[], bool], seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not (good := reached()) and time.monotonic() < deadline:
            time.sleep(0.5)
        self._account.held(label, "seen" if good else self._journal()[-600:], good)


def _found(word: str, text: str) -> tuple[str, bool]:
    """What is told of a word that must be there."""
    return (word, True) if word in text else (text, False)
