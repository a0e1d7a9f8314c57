"""One process, measured whole: wall clock from before it is made until it is reaped, CPU and peak memory from `wait4`.

Owns what a sample is and how it comes about, and what the machine did besides. Knows no client and no server. This program
must stay small: Linux gives a child the peak memory of the process that made it as the least it can report.
"""

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

TICK = os.sysconf("SC_CLK_TCK")
_CALM = 0.15
"""The machine counts as calm where other processes use less than this share of all cores."""


@dataclass(frozen=True)
class Sample:
    """One run. Times in seconds, memory in bytes.

    Attributes:
        wall: From before the process was made until it was reaped.
        cpu: User and system time, of the process and those of its children that it reaped.
        rss: Peak resident memory of the largest of these.
        code: The exit code; negative: the signal that ended it.
        late: It was ended because it took too long.
        others: CPU used by processes that are neither client nor server, as a share of all cores.
        server: CPU of the server, as a share of one core.
        load: The machine's load average over a minute, before.
        requests: What the server counted; 0 where it does not count.
        output: The end of what was printed.
    """

    wall: float
    cpu: float
    rss: int
    code: int
    late: bool
    others: float
    server: float
    load: float
    requests: int = 0
    output: str = ""

    @property
    def ok(self) -> bool:
        """Whether it went through."""
        return not self.code and not self.late


def run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    cores: Collection[int],
    cap: float,
    server_cpu: Callable[[], float] = lambda: 0.0,
    until: Callable[[float], bool] | None = None,
    every: float = 0.05,
) -> Sample:
    """Run a command to its end.

    Args:
        argv: The command.
        environ: Its whole environment.
        cores: The cores it may use.
        cap: Seconds after which it is killed.
        server_cpu: Tells the seconds of CPU that the server has used.
        until: Asked again and again, with the seconds since the beginning; the process is killed (-9) as soon as it is true.
        every: Seconds between two such questions.
    """
    load = os.getloadavg()[0]
    mine = os.sched_getaffinity(0)
    with tempfile.TemporaryFile() as output:
        busy, served = machine_cpu(), server_cpu()
        os.sched_setaffinity(0, cores)  # a child inherits it; nothing runs between exec and the program itself
        try:
            began = time.perf_counter()
            process = subprocess.Popen(
                argv, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        finally:
            os.sched_setaffinity(0, mine)
        try:
            late = not _wait(process.pid, began, cap, until, every)
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            _kill(process.pid)
            process.wait()
            raise
        wall = time.perf_counter() - began
        busy, served = machine_cpu() - busy, server_cpu() - served
        process.returncode = os.waitstatus_to_exitcode(status)  # it is reaped: Popen must not look for it again
        cpu = usage.ru_utime + usage.ru_stime
        output.seek(max(0, output.seek(0, os.SEEK_END) - 4000))
        return Sample(
            wall=wall,
            cpu=cpu,
            rss=usage.ru_maxrss * 1024,
            code=process.returncode,
            late=late,
            others=max(0.0, (busy - cpu - served) / wall / (os.cpu_count() or 1)),
            server=served / wall,
            load=load,
            output=output.read().decode("utf-8", "replace"),
        )


def _wait(pid: int, began: float, cap: float, until: Callable[[float], bool] | None, every: float) -> bool:
    """Wait for the end of a process, bring it about where it is due; whether it came in time."""
    watched = os.pidfd_open(pid)
    try:
        while (left := began + cap - time.perf_counter()) > 0:
            if select.select([watched], [], [], left if until is None else min(left, every))[0]:
                return True
            if until is not None and until(time.perf_counter() - began):
                _kill(pid)
                return True
        _kill(pid)
        return False
    finally:
        os.close(watched)


def _kill(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)


def machine_cpu() -> float:
    """Seconds of CPU that all processes of this machine have used."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(text) for text in file.readline().split()[1:]]
    idle, waiting = fields[3:5]
    guests = sum(fields[8:10])  # counted in the first fields already
    return (sum(fields) - idle - waiting - guests) / TICK


def process_cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def wait_for_calm(patience: float) -> None:
    """Wait until others use little of this machine, at most `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before = machine_cpu()
        time.sleep(1.0)
        if (machine_cpu() - before) / (os.cpu_count() or 1) < _CALM:
            return
