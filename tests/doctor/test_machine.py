import os
import resource
from pathlib import Path

import pytest

from asyncmirror.doctor import machine
from asyncmirror.doctor.finding import Finding, Level
from asyncmirror.settings import Tuning
from asyncmirror.sizes import GIB, MIB


class Fake:
    """What the kernel would say of a machine."""

    def __init__(self, root: Path) -> None:
        self.proc, self.cgroup = root / "proc", root / "cgroup"
        self.write(self.proc / "meminfo", "MemTotal: 99 kB\nMemAvailable: 8388608 kB\n")
        self.write(self.proc / "self/cgroup", "0::/a/b\n")

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")

    def look(self, tuning: Tuning = Tuning()) -> dict[str, Finding]:  # noqa: B008  frozen
        return {finding.topic: finding for finding in machine.examine(tuning, self.proc, self.cgroup)}


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


def test_a_machine_without_limits_is_fine(fake: Fake) -> None:
    assert fake.look()["memory"] == Finding("memory", Level.OK, "592 MiB needed at most, 8 GiB available")
    assert fake.look()["cores"].level is Level.OK


def test_the_least_limit_on_the_way_up_counts(fake: Fake) -> None:
    fake.write(fake.cgroup / "a/b/memory.max", "max\n")
    fake.write(fake.cgroup / "a/memory.max", f"{256 * MIB}\n")
    fake.write(fake.cgroup / "memory.max", f"{GIB}\n")
    found = fake.look()["memory"]
    assert found.level is Level.PROBLEM
    assert found.found.endswith("the control group allows 256 MiB")
    assert found.remedy == "give --max-memory 176MiB or less"


def test_version_1_of_control_groups_is_read(fake: Fake) -> None:
    fake.write(fake.proc / "self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/x\n")
    fake.write(fake.cgroup / "memory/x/memory.limit_in_bytes", f"{GIB}\n")
    fake.write(fake.cgroup / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    fake.write(fake.cgroup / "cpu/x/cpu.cfs_quota_us", "50000\n")
    fake.write(fake.cgroup / "cpu/x/cpu.cfs_period_us", "100000\n")
    assert fake.look()["memory"].found.endswith("the control group allows 1 GiB")
    assert fake.look()["cores"].found == f"0.5 of {os.cpu_count()} by the control group's quota"


def test_more_loops_than_cores_is_a_warning(fake: Fake) -> None:
    fake.write(fake.cgroup / "a/b/cpu.max", "100000 100000\n")
    assert fake.look(Tuning(loops=2))["cores"].level is Level.WARNING
    fake.write(fake.cgroup / "a/b/cpu.max", "max 100000\n")
    assert fake.look(Tuning(loops=1))["cores"].level is Level.OK


def test_less_memory_at_hand_than_needed_is_a_warning(fake: Fake) -> None:
    fake.write(fake.proc / "meminfo", "MemAvailable: 1024 kB\n")
    assert fake.look()["memory"].level is Level.WARNING
    fake.write(fake.proc / "meminfo", "nothing of the kind\n")
    assert fake.look()["memory"].level is Level.OK


@pytest.mark.parametrize(
    ("soft", "hard", "concurrency", "level", "remedy"),
    [
        (1024, 1024, 64, Level.OK, ""),
        (256, 4096, 64, Level.OK, ""),  # a run raises its own limit
        (256, resource.RLIM_INFINITY, 4096, Level.OK, ""),
        (256, 256, 500, Level.WARNING, "a run makes do with --concurrency "),
        (20, 20, 16, Level.PROBLEM, "allow at least "),
    ],
)
def test_descriptors_are_counted_against_what_is_asked(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, concurrency: int, level: Level, remedy: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    found = fake.look(Tuning(concurrency=concurrency))["open files"]
    assert (found.level, found.remedy[: len(remedy)]) == (level, remedy)
    assert found.found.startswith(f"{soft:,} open files")
