"""What the kernel tells of CPU and memory, with control groups of both versions and without."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from asyncmirror.sizes import GIB, MIB
from asyncmirror.store.strain import Strain

NONE: Mapping[str, str] = {"self/cgroup": "0::/\n", "meminfo": "MemTotal: 1000 kB\nMemAvailable: 500 kB\n"}
V2: Mapping[str, str] = {"self/cgroup": "0::/job/step\n"}
V1: Mapping[str, str] = {"self/cgroup": "9:memory:/job\n4:cpu,cpuacct:/job\n"}


class Machine:
    """Files as the kernel has them, below a directory."""

    def __init__(self, root: Path, proc: Mapping[str, str]) -> None:
        self.proc, self.mount = root / "proc", root / "cgroup"
        for name, text in proc.items():
            self.write(self.proc / name, text)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def group(self, place: str, **files: object) -> None:
        for name, text in files.items():
            self.write(self.mount / place / name.replace("_", ".", 1), f"{text}\n")

    def strain(self) -> Strain:
        return Strain(self.proc, self.mount)


def test_the_thread_is_busy_while_it_runs_or_waits_for_a_cpu(tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"thread-self/schedstat": "2500000000 500000000 17\n"})
    with machine.strain() as strain:
        assert strain.busy() == 3.0


def test_without_scheduler_statistics_the_thread_clock_and_the_quota_tell(tmp_path: Path) -> None:
    machine = Machine(tmp_path, V2)
    machine.group("job/step", cpu_stat="usage_usec 9\nthrottled_usec 4000000")
    before = time.thread_time()
    with machine.strain() as strain:
        assert before + 4 <= strain.busy() <= time.thread_time() + 4


def test_here_it_is_as_busy_as_it_was() -> None:
    with Strain() as strain:
        before, cpu = strain.busy(), time.thread_time()
        while time.thread_time() < cpu + 0.02:
            pass
        assert strain.busy() - before >= 0.015


@pytest.mark.parametrize(("used", "cache", "short"), [(950, 0, True), (950, 100, False), (800, 0, False)])
def test_memory_is_short_near_a_limit_of_version_2(tmp_path: Path, used: int, cache: int, short: bool) -> None:  # noqa: FBT001
    machine = Machine(tmp_path, V2)
    machine.group("job", memory_max="max")
    machine.group(
        "job/step", memory_max=1000 * MIB, memory_current=used * MIB, memory_stat=f"anon 5\ninactive_file {cache * MIB}"
    )
    assert machine.strain().is_memory_short(1.0) == short


@pytest.mark.parametrize(("used", "cache", "short"), [(950, 0, True), (950, 100, False)])
def test_and_of_version_1(tmp_path: Path, used: int, cache: int, short: bool) -> None:  # noqa: FBT001
    machine = Machine(tmp_path, V1)
    files = {"limit_in_bytes": 1000 * MIB, "usage_in_bytes": used * MIB, "stat": f"total_inactive_file {cache * MIB}"}
    machine.group("memory/job", **{f"memory_{name}": value for name, value in files.items()})
    machine.group("memory", memory_limit_in_bytes=(1 << 63) - 4096, memory_usage_in_bytes=GIB << 10)
    assert machine.strain().is_memory_short(1.0) == short


def test_a_limit_that_a_group_above_has_counts(tmp_path: Path) -> None:
    machine = Machine(tmp_path, V2)
    machine.group("job", memory_max=GIB, memory_current=GIB, memory_stat="inactive_file 0")
    machine.group("job/step", memory_max="max", memory_current=5)
    assert machine.strain().is_memory_short(1.0)


def test_memory_is_short_while_somebody_waits_for_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path, V2)
    machine.group("job/step", memory_max=1000 * MIB, memory_current=800 * MIB)

    def stalled(seconds: float) -> None:
        machine.group("job/step", memory_pressure=f"some avg10=0 total={seconds * 1e6:.0f}\nfull avg10=0 total=0")

    stalled(1000)
    strain = machine.strain()
    assert not strain.is_memory_short(0.0), "what was before tells nothing"
    stalled(1000.2)
    assert not strain.is_memory_short(0.9), "it is looked at once a second"
    assert strain.is_memory_short(1.0)
    stalled(1000.25)
    assert not strain.is_memory_short(2.0)


@pytest.mark.parametrize(("available", "short"), [(500, False), (20, True)])
def test_without_control_groups_the_machine_tells(tmp_path: Path, available: int, short: bool) -> None:  # noqa: FBT001
    machine = Machine(tmp_path, {**NONE, "meminfo": f"MemTotal: 1000 kB\nMemAvailable: {available} kB\n"})
    assert machine.strain().is_memory_short(1.0) == short


def test_what_can_not_be_read_says_nothing(tmp_path: Path) -> None:
    with Strain(tmp_path / "proc", tmp_path / "cgroup") as strain:
        assert not strain.is_memory_short(1.0)
        assert strain.busy() <= time.thread_time()
