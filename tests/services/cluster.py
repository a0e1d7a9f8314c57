"""A Slurm cluster of one node, this machine: its three daemons, begun by hand, with all they keep in one directory.

Owns the configuration, the daemons' lives, and how jobs are asked about. Knows no job. Needs Debian's packages slurmctld,
slurmd, slurm-client and munge, and root. Nothing of an installation is touched: ports, keys and state are its own.
"""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.acceptance.servers import PATIENCE

PROGRAMS = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch", "scancel", "scontrol")
_NODE = "show"
# proctrack/linuxproc and task/none do without cgroups; a job may ask for more than this machine has. A job that is queued again
# begins when the credential of its last allocation has run out.
_CONFIGURATION = """\
ClusterName=show
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={where}/munge.socket,cred_expire=10
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
StateSaveLocation={where}/state
SlurmdSpoolDir={where}/spool
SlurmctldPidFile={where}/slurmctld.pid
SlurmdPidFile={where}/slurmd.pid
NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=65536
PartitionName=all Nodes={name} Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """A cluster that is up. Made by `cluster`."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """One of Slurm's commands; gives what it says."""
        told = subprocess.run(
            command, env=self._environment, cwd=cwd, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE
        )
        return told.stdout.strip()

    def submit(self, script: Path, *arguments: str | Path, options: tuple[str, ...] = (), cwd: Path) -> str:
        """Submit a job; gives its number."""
        return self.run("sbatch", "--parsable", *options, script, *arguments, cwd=cwd)

    def state(self, job: str) -> dict[str, str]:
        """What Slurm says of a job."""
        words = self.run("scontrol", "show", "--oneliner", "job", job).split()
        return dict(word.partition("=")[::2] for word in words)

    def wait(self, job: str, *states: str, restarts: int = 0, seconds: float = 600) -> dict[str, str]:
        """Wait until a job, begun anew so many times, is in one of these states; gives what Slurm says of it."""
        deadline = time.monotonic() + seconds
        while (told := self.state(job))["JobState"] not in states or int(told["Restarts"]) < restarts:
            assert time.monotonic() < deadline, told
            time.sleep(0.5)
        return told


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def cluster(where: Path, environment: Mapping[str, str]) -> Iterator[Cluster]:
    """A cluster until the block ends, in a directory that is there and is its own; jobs get this environment."""
    for name in ("state", "spool"):
        (where / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    names = {"where": where, "host": host, "name": _NODE, "controller": _free_port(), "node": _free_port()}
    configuration = where / "slurm.conf"
    configuration.write_text(_CONFIGURATION.format(**names), encoding="utf-8")
    ours = {**environment, "SLURM_CONF": str(configuration)}
    key, munge = where / "munge.key", where / "munge.socket"
    subprocess.run(["mungekey", "--create", "--keyfile", key], check=True, timeout=PATIENCE)
    files = [f"--{name}-file={where}/munged.{name}" for name in ("log", "pid", "seed")]
    with contextlib.ExitStack() as stack:

        def begin(name: str, *arguments: str | Path) -> None:
            log = stack.enter_context((where / f"{name}.out").open("wb"))
            process = subprocess.Popen([name, *arguments], env=ours, stdout=log, stderr=log)
            stack.callback(_end, process)

        begin("munged", "--foreground", "--force", f"--socket={munge}", f"--key-file={key}", *files)
        begin("slurmctld", "-D")
        begin("slurmd", "-D", "-N", _NODE)
        found = Cluster(ours)
        deadline = time.monotonic() + PATIENCE
        while "State=IDLE" not in _try(found):
            assert time.monotonic() < deadline, f"the cluster does not come up: see {where}/*.out"
            time.sleep(0.2)
        yield found


def _try(cluster: Cluster) -> str:
    with contextlib.suppress(subprocess.CalledProcessError):
        return cluster.run("scontrol", "show", "--oneliner", "node", _NODE)
    return ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
