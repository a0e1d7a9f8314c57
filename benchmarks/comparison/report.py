"""What was measured, as JSON and as Markdown tables.

Owns medians, ratios and what is said beside a figure. Nothing is left out: a client that was given less, was too slow or failed
stands in its row with that. Results of an earlier run in the same directory stay where this run has no newer ones.
"""

import dataclasses
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncmirror
from comparison.clients import Client, version
from comparison.race import Ground, Result

GIB = 1 << 30
_DISTURBED = 0.2
_TELLING = 1.0
"""Seconds; the kernel counts CPU in hundredths, which says nothing of a shorter run."""


def load(file: Path) -> dict[str, Any]:
    """What an earlier run left; empty if there was none."""
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def save(file: Path, result: Result, ground: Ground, clients: Mapping[str, Client], how: str, commit: str) -> dict[str, Any]:
    """Write the raw results, those of earlier runs beside them; gives all."""
    before = load(file)
    rows = before.get("rows", {})
    rows[result.name] = dataclasses.asdict(result) | {"conditions": _conditions(ground, how) | {"revision": commit}}
    versions = {name: {"version": version(client), "settings": client.settings} for name, client in clients.items()}
    document = {"machine": _machine(), "clients": versions, "rows": rows}
    file.write_text(json.dumps(document, indent=1))
    return document


def _conditions(ground: Ground, how: str) -> dict[str, Any]:
    return {
        "command": how,
        "server cores": list(ground.server_cores),
        "client cores": list(ground.client_cores),
        "page cache": "cold" if ground.cold else "warm",
    }


def revision() -> str:
    """The commit that was measured, with a plus where files differ from it."""
    argv = ["git", "-C", os.path.dirname(asyncmirror.__file__), "describe", "--always", "--dirty=+"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


def _machine() -> dict[str, Any]:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


# Figures


def median(entry: Mapping[str, Any], of: Callable[[Mapping[str, Any]], float]) -> float | None:
    """The median of something over an entry's good samples; None if there are none."""
    values = [of(sample) for sample in entry["samples"] if good(sample)]
    return statistics.median(values) if values else None


def good(sample: Mapping[str, Any]) -> bool:
    """Whether a sample went through."""
    return not sample["code"] and not sample["late"]


def rate(row: Mapping[str, Any], entry: Mapping[str, Any], less: float = 0.0) -> float | None:
    """Objects or GiB per second, by the median wall time, `less` so many seconds of start-up."""
    wall = median(entry, lambda sample: sample["wall"])
    amount = entry["objects"] if row["unit"] == "objects" else entry["size"] / GIB
    return None if wall is None else amount / max(wall - less, 1e-9)


def best_peer(row: Mapping[str, Any], beginning: str = "s5cmd") -> float | None:
    """The best rate of the clients whose name begins so."""
    rates = [found for entry in row["entries"] if entry["client"].startswith(beginning) and (found := rate(row, entry))]
    return max(rates, default=None)


def start_up(document: Mapping[str, Any]) -> float:
    """Seconds that asyncmirror takes for one small file."""
    row = document["rows"].get("one-plain")
    if row is None:
        return 0.0
    entries = [entry for entry in row["entries"] if entry["client"] == "asyncmirror"]
    return (entries and median(entries[0], lambda sample: sample["wall"])) or 0.0


# Markdown


def markdown(document: Mapping[str, Any]) -> str:
    """All of it as a page."""
    machine, rows = document["machine"], document["rows"]
    told = f"{machine['processor']}, {machine['cores']} cores, {machine['memory'] / GIB:.0f} GiB, Linux {machine['kernel']}"
    parts = [
        "# Results\n",
        f"{told}, Python {machine['python']}. Made by `benchmarks/run`; how to read it stands in [README.md](README.md).\n",
    ]
    parts += [_row(row, start_up(document)) for row in rows.values()]
    parts.append(_clients(document["clients"]))
    return "\n".join(parts)


def _row(row: Mapping[str, Any], less: float) -> str:
    conditions = row["conditions"]
    pinned = conditions["server cores"] != conditions["client cores"]
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(row["began"]))
    turns = max((len(entry["samples"]) for entry in row["entries"]), default=0)
    lines = [f"## {row['title']}\n"]
    if row["entries"]:
        lines.append(_header(row))
        peer = best_peer(row)
        lines += [_line(row, entry, peer, less) for entry in row["entries"]]
    if row["facts"]:
        lines += ["", *(f"- {name}: {value:,.{0 if value >= 100 else 2}f}" for name, value in row["facts"].items())]
    samples = [sample for entry in row["entries"] for sample in entry["samples"] if sample["wall"] >= _TELLING]
    others = max((sample["others"] for sample in samples), default=0.0)
    disturbed = f"; **other processes took up to {others:.0%} of the machine**" if others > _DISTURBED else ""
    where = "server and client on cores of their own" if pinned else "not pinned"
    lines.append(
        f"\n`{row['name']}`, {turns} turns, {when}, commit {conditions['revision']},"
        f" {conditions['page cache']} page cache, {where}{disturbed}.\n"
    )
    return "\n".join(lines)


def _header(row: Mapping[str, Any]) -> str:
    unit, per = ("objects/s", "CPU µs/object") if row["unit"] == "objects" else ("GiB/s", "CPU s/GiB")
    return (
        f"| client | {unit} | against s5cmd's best | seconds, median (least–most) | {per} | peak MiB | share of the limit |"
        "\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    )


def _line(row: Mapping[str, Any], entry: Mapping[str, Any], peer: float | None, less: float) -> str:
    reached = rate(row, entry)
    name = entry["client"] + _reduced(row, entry)
    if reached is None:
        last: Mapping[str, Any] = entry["samples"][-1] if entry["samples"] else {"late": False, "code": "not run"}
        why = f"ended after {last['wall']:.0f} s" if last["late"] else f"failed ({last['code']})"
        return f"| {name} | {why} | | | | | |"
    walls = sorted(sample["wall"] for sample in entry["samples"] if good(sample))
    amount = entry["objects"] / 1e6 if row["unit"] == "objects" else entry["size"] / GIB
    cpu = (median(entry, lambda sample: sample["cpu"]) or 0.0) / amount
    memory = max(sample["rss"] for sample in entry["samples"]) / (1 << 20)
    digits = 0 if row["unit"] == "objects" else 2
    against = f"{reached / peer:.2f} ×" if peer else ""
    return (
        f"| {name} | {reached:,.{digits}f} | {against} | {statistics.median(walls):.2f} ({walls[0]:.2f}–{walls[-1]:.2f})"
        f" | {cpu:,.{digits}f} | {memory:.0f} | {_shares(row, entry, less)} |"
    )


def _reduced(row: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    return f" ({entry['objects']:,} only)" if entry["objects"] < row["entries"][0]["objects"] else ""


def _shares(row: Mapping[str, Any], entry: Mapping[str, Any], less: float) -> str:
    """How near asyncmirror comes to the limits of the same number of connections, its start-up taken off."""
    if not entry["client"].startswith("asyncmirror"):
        return ""
    connections = entry["client"].removeprefix("asyncmirror")
    reached = rate(row, entry, less)
    limits = {each["client"]: rate(row, each) for each in row["entries"] if each["client"].startswith("limit")}
    bare, signed = limits.get("limit" + connections), limits.get("limit, signed")
    if reached is None or bare is None:
        return ""
    return f"{reached / bare:.0%}" + (f"; signed {reached / signed:.0%}" if signed else "")


def _clients(clients: Mapping[str, Mapping[str, str]]) -> str:
    lines = ["## Clients\n", "| client | version | settings |", "| --- | --- | --- |"]
    lines += [f"| {name} | {told['version']} | `{told['settings']}` |" for name, told in clients.items()]
    return "\n".join(lines) + "\n"
