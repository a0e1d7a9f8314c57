"""What this machine gives a process: descriptors, cores, memory.

Owns the reading of limits, and what a sync needs of each. Source: cgroups(7), the kernel's
cgroup-v2.rst ("cpu.max", "memory.max"), proc(5).
"""

import os
import resource
from dataclasses import replace
from pathlib import Path

from asyncmirror.cgroups import MOUNT, NO_LIMIT, PROC, groups, number, read
from asyncmirror.doctor.finding import Finding, ok, problem, warning
from asyncmirror.engine.descriptors import fit, needed
from asyncmirror.errors import UsageError
from asyncmirror.plan.climb import START
from asyncmirror.settings import Tuning
from asyncmirror.sizes import MIB, format_size

_BASE = 80 * MIB
"""What a process holds beside the bodies, as docs/operations.md has it."""
_PER_LOOP = 70 * MIB


def examine(tuning: Tuning, proc: Path = PROC, cgroup: Path = MOUNT) -> list[Finding]:
    """The findings; `proc` and `cgroup` are where these are mounted."""
    return [_descriptors(tuning), _cores(tuning, proc, cgroup), _memory(tuning, proc, cgroup)]


def _descriptors(tuning: Tuning) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    tuning = replace(tuning, readers=tuning.readers or 32, scanners=tuning.scanners or 8)
    wanted = needed(tuning)
    told = f"{_limit(soft)} open files (at most {_limit(hard)}), {wanted} needed with --concurrency {tuning.concurrency}"
    if resource.RLIM_INFINITY in (soft, hard) or hard >= wanted:
        return ok("open files", told)  # a run raises its own limit so far
    try:
        fitted = fit(tuning, hard)
    except UsageError as error:
        return problem("open files", told, error.hint)
    if tuning.auto and fitted == replace(tuning, concurrency=max(START, fitted.concurrency)):
        return ok("open files", f"{told}; --concurrency auto makes do with {fitted.concurrency}")
    return warning(
        "open files", told, f"a run makes do with --concurrency {fitted.concurrency}; ulimit -Hn {wanted} lets it be"
    )


def _limit(value: int) -> str:
    return "any number of" if value == resource.RLIM_INFINITY else f"{value:,}"


def _cores(tuning: Tuning, proc: Path, cgroup: Path) -> Finding:
    usable = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quota = _quota(proc, cgroup)
    share = usable if quota is None else min(usable, quota)
    told = f"{share:g} of {os.cpu_count()}" + (" by the control group's quota" if quota is not None and quota < usable else "")
    if tuning.loops > max(1, share):
        return warning("cores", f"{told}, --loops {tuning.loops}", "give no more loops than cores: they take turns")
    return ok("cores", told)


def _memory(tuning: Tuning, proc: Path, cgroup: Path) -> Finding:
    limit, there = _memory_limit(proc, cgroup), _available(proc)
    needed = tuning.max_memory + _BASE + (_PER_LOOP * tuning.loops if tuning.loops > 1 else 0)
    parts = [f"{format_size(needed)} needed at most"]
    if there is not None:
        parts.append(f"{format_size(there)} available")
    if limit is not None:
        parts.append(f"the control group allows {format_size(limit)}")
    told = ", ".join(parts)
    if limit is not None and needed > limit:
        return problem("memory", told, f"give --max-memory {max(5, (limit - needed + tuning.max_memory) // MIB)}MiB or less")
    if there is not None and needed > there:
        return warning("memory", told, "lower --max-memory, or let other programs end first")
    return ok("memory", told)


def _available(proc: Path) -> int | None:
    for line in read(proc / "meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _memory_limit(proc: Path, cgroup: Path) -> int | None:
    """The least limit from this process's group up to the root; None where there is none."""
    found = [number(read(group / "memory.max")) for group in groups("", proc, cgroup)]
    found += [number(read(group / "memory.limit_in_bytes")) for group in groups("memory", proc, cgroup)]
    limits = [limit for limit in found if limit is not None and limit < NO_LIMIT]
    return min(limits, default=None)


def _quota(proc: Path, cgroup: Path) -> float | None:
    """The cores that the control group's quota comes to; None where there is none."""
    found: list[float] = []
    for group in groups("", proc, cgroup):
        quota, _, period = read(group / "cpu.max").partition(" ")
        found += _ratio(quota, period)
    for group in groups("cpu", proc, cgroup):
        found += _ratio(read(group / "cpu.cfs_quota_us"), read(group / "cpu.cfs_period_us"))
    return min(found, default=None)


def _ratio(quota: str, period: str) -> list[float]:
    most, each = number(quota), number(period)
    return [most / each] if most is not None and each else []
