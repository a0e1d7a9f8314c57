"""What Prometheus is told: well formed, named by its conventions, documented, and never going back."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from asyncmirror.events import Allowance, Erasing, Waiting
from asyncmirror.http.health import Health
from asyncmirror.http.metrics import registry
from asyncmirror.http.picture import Batches, Picture, fold, observe
from asyncmirror.http.site import Site
from tests.page.served import ANYWHERE, STARTED, asking, progress, summary

ROOT = Path(__file__).resolve().parents[2]
PROMTOOL = shutil.which("promtool")
NAME = re.compile(r"\b(?:asyncmirror|process)_[a-z_]+\b")


def all_that_there_is() -> str:
    """The text where every metric has a value."""
    picture = fold(fold(Picture(), STARTED, 100.0), summary(7), 112.0)
    limited = progress()._replace(allowance=Allowance(20 << 20, 50.0), erasing=Erasing(9, 4, 1, 2.0))
    batches = Batches(1, 2, "a", None, 0, 0)
    picture = fold(picture, Waiting(900.0), 113.0)._replace(batches=batches, progress=limited)
    return generate_latest(registry(lambda: picture, Health)).decode()


@pytest.fixture
def names() -> frozenset[str]:
    """Every name that has samples."""
    return frozenset(sample.name for family in parse(all_that_there_is()) for sample in family.samples)


def _openmetrics(text: str) -> list[Metric]:
    return list(parse_openmetrics(text))  # type: ignore[no-untyped-call]  # the library has no type for it


def values(text: str) -> Iterator[tuple[tuple[str, ...], float]]:
    for family in parse(text):
        for sample in family.samples:
            yield (sample.name, *sample.labels.values()), sample.value


def test_the_values_are_those_of_the_run() -> None:
    picture = observe(fold(fold(Picture(), STARTED, 1.0), summary(7), 13.0), progress())
    picture = observe(fold(picture, STARTED, 20.0), progress(40, failed=2, seconds=3.0))
    found = dict(values(generate_latest(registry(lambda: picture, lambda: Health("ill"))).decode()))
    expected = {
        ("asyncmirror_entries_total", "complete"): 47,
        ("asyncmirror_entries_total", "failed"): 2,
        ("asyncmirror_entry_bytes_total", "complete"): 47 << 10,
        ("asyncmirror_sent_bytes_total",): 47 << 10,
        ("asyncmirror_scanned_entries_total",): 107,
        ("asyncmirror_requests_total",): 142,
        ("asyncmirror_requests_refused_total",): 3,
        ("asyncmirror_requests_in_flight_limit",): 16,
        ("asyncmirror_requests_in_flight_ceiling",): 64,
        ("asyncmirror_runs_total", "success"): 1,
        ("asyncmirror_runs_total", "failed"): 0,
        ("asyncmirror_run_active",): 1,
        ("asyncmirror_run_duration_seconds",): 3,
        ("asyncmirror_run_problems",): 2,
        ("asyncmirror_queued_entries",): 58,
        ("asyncmirror_last_success_timestamp_seconds",): 13,
        ("asyncmirror_healthy",): 0,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["process_resident_memory_bytes",] > 0


def test_nothing_that_is_not_known_is_told() -> None:
    names = {name for name, *_ in (key for key, _ in values(generate_latest(registry(Picture, Health)).decode()))}
    assert "asyncmirror_last_success_timestamp_seconds" not in names
    assert "asyncmirror_last_run_exit_code" not in names
    assert "asyncmirror_batches" not in names


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_has_nothing_to_say() -> None:
    assert PROMTOOL is not None
    said = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=all_that_there_is(), capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


async def test_a_scraper_gets_the_form_that_it_asks_for() -> None:
    with Site(ANYWHERE, None) as site:
        site.tell(STARTED)
        async with asking(site) as session:
            async with session.get("/metrics") as answer:
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                assert any(family.name == "asyncmirror_entries" for family in parse(await answer.text()))
            form = {"Accept": "application/openmetrics-text; version=1.0.0"}
            async with session.get("/metrics", headers=form) as answer:
                assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
                assert "asyncmirror_entries" in {family.name for family in _openmetrics(await answer.text())}


def test_every_metric_is_documented_and_nothing_else_is(names: frozenset[str]) -> None:
    documented = set(re.findall(r"^\| `([a-z_]+)", (ROOT / "docs/monitoring.md").read_text(), re.MULTILINE))
    assert documented == {name for name in names if name.startswith("asyncmirror_")}


def test_the_dashboard_asks_for_what_there_is(names: frozenset[str]) -> None:
    text = (ROOT / "examples/grafana/asyncmirror.json").read_text()
    board = json.loads(text)
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    assert len(asked) > 8
    assert {name for expression in asked for name in NAME.findall(expression)} <= names
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
