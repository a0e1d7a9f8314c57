"""``/metrics``: what Prometheus is told, by its conventions of names and units.

Owns the names, their meaning (docs/monitoring.md tells users; a test holds the two together) and the registry, which is not the
library's global one. The values are read from the picture when they are asked for, so that there is nothing to keep up to date.
Which of its forms a scraper gets is prometheus-client's to know.
"""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from asyncmirror.events import Allowance
from asyncmirror.http.health import Health
from asyncmirror.http.picture import Phase, Picture, Result, Totals
from asyncmirror.model import Outcome
from asyncmirror.version import VERSION


def registry(read: Callable[[], Picture], health: Callable[[], Health]) -> CollectorRegistry:
    """A registry with our metrics, read from these when it is asked, and those of the process."""
    found = CollectorRegistry()
    found.register(_Runs(read, health))
    ProcessCollector(registry=found)
    return found


class _Runs(Collector):
    """Our metrics."""

    def __init__(self, read: Callable[[], Picture], health: Callable[[], Health]) -> None:
        self._read = read
        self._health = health

    def collect(self) -> Iterable[Metric]:
        """See `Collector.collect`."""
        picture = self._read()
        build = GaugeMetricFamily("asyncmirror_build_info", "The version, as a label; always 1.", labels=["version"])
        build.add_metric([VERSION], 1)
        yield build
        yield _gauge("healthy", "Whether /healthz says that all is well: 1 or 0.", int(self._health().good))
        yield from _totals(picture.ever)
        yield from _gauges(picture)


def _totals(ever: Totals) -> Iterable[Metric]:
    """What counts on from run to run."""
    runs = CounterMetricFamily("asyncmirror_runs", "Runs that have ended, by their result.", labels=["result"])
    for result in Result:
        runs.add_metric([result.value], ever.runs.get(result, 0))
    yield runs
    entries = CounterMetricFamily("asyncmirror_entries", "Entries that reached their outcome.", labels=["outcome"])
    sizes = CounterMetricFamily("asyncmirror_entry_bytes", "Bytes of the files among them.", labels=["outcome"])
    for outcome in Outcome:
        entries.add_metric([outcome.name.lower()], ever.entries.get(outcome, 0))
        sizes.add_metric([outcome.name.lower()], ever.entry_bytes.get(outcome, 0))
    yield entries
    yield sizes
    yield _counter("scanned_entries", "Entries seen in the source.", ever.scanned)
    yield _counter("scanned_bytes", "Bytes of the files among them.", ever.scanned_bytes)
    yield _counter("sent_bytes", "Bytes of bodies put on the wire, sent again ones included.", ever.bytes_sent)
    yield _counter("deleted_objects", "Objects deleted because their file is gone, as runs end.", ever.deleted)
    yield _counter("deleted_bytes", "Their bytes.", ever.deleted_bytes)
    yield _counter("requests", "Requests sent to the store.", ever.requests)
    yield _counter("requests_refused", "Requests that the store turned away because they were too many.", ever.refused)


def _gauges(picture: Picture) -> Iterable[Metric]:
    """What is so now, or was so at the end of the last run."""
    progress = picture.progress
    running = picture.phase is Phase.RUNNING
    yield _gauge("run_active", "Whether a run is going on: 1 or 0.", int(running))
    yield _gauge("run_paused", "Whether it is paused: 1 or 0.", int(running and progress.paused))
    yield _gauge("run_scanning", "Whether it is still finding files: 1 or 0.", int(running and progress.scanning))
    if progress.erasing is not None:
        text = "Objects whose file is gone, while they are deleted; 0 until they are all known."
        yield _gauge("deletion_objects", text, progress.erasing.objects)
        yield _gauge("deletion_objects_done", "Objects of them that have been seen to.", progress.erasing.done)
    yield _gauge("run_duration_seconds", "How long the run has lasted that goes on, or was the last.", progress.seconds)
    yield _gauge("run_problems", "Entries that a person should look at, of that run.", picture.problem_count)
    yield _gauge("queued_entries", "Files that wait to be sent.", progress.queued)
    yield _gauge("queued_bytes", "Their bytes.", progress.queued_bytes)
    yield _gauge("requests_in_flight_limit", "Requests that may be in flight now.", progress.flight.limit)
    yield _gauge("requests_in_flight_ceiling", "Requests that may be in flight at any time.", progress.flight.most)
    yield _gauge(
        "run_throttled", "Whether the store asks for fewer requests: 1 or 0.", int(running and progress.flight.throttled)
    )
    yield from _limits(progress.allowance)
    if picture.summary is not None:
        yield _gauge("last_run_exit_code", "The exit code of the last run that has ended.", picture.summary.exit_code)
        yield _gauge("last_run_timestamp_seconds", "When it ended, in seconds since 1970.", picture.ended or 0)
    if picture.last_success is not None:
        yield _gauge(
            "last_success_timestamp_seconds", "When a run last ended with all there, since 1970.", picture.last_success
        )
    if picture.waiting is not None:
        yield _gauge("next_run_timestamp_seconds", "When the next run begins, where it is waited for.", picture.waiting.until)
    if picture.batches is not None:
        yield _gauge("batches", "Batches of a queue that are to be worked off in this go.", picture.batches.of)
        yield _gauge("batches_completed", "Batches of them that are completed.", picture.batches.completed)
        yield _gauge("batches_failed", "Batches of them that left something.", picture.batches.failed)


def _limits(allowance: Allowance) -> Iterable[Metric]:
    """What may be sent in a second."""
    if allowance.bandwidth:
        text = "Bytes that may be sent per second now; absent: no limit."
        yield _gauge("bandwidth_limit_bytes_per_second", text, allowance.bandwidth)
    if allowance.requests:
        yield _gauge("request_limit_per_second", "Requests that may be sent per second; absent: no limit.", allowance.requests)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"asyncmirror_{name}", text, value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"asyncmirror_{name}", text, value)
