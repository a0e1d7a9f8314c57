"""``benchmarks/run``: the command line, and the order of things."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from comparison.chart import svg
from comparison.clients import clients
from comparison.race import Ground, Racing, Result, say
from comparison.report import markdown, revision, save
from comparison.resync import listing, unchanged, versions
from comparison.rows import LISTED, NOTHING_TO_DO, rows


def main() -> int:
    """Run; gives the exit code."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    pinned = options.pin == "on" and len(cores) > 1
    found, missing = clients()
    if missing:
        say(f"not installed, left out: {', '.join(missing)}")
    out = options.out or Path(tempfile.mkdtemp(prefix="asyncmirror-bench-"))
    out.mkdir(parents=True, exist_ok=True)
    ground = Ground(
        work=out.resolve(),
        server_cores=cores[:1] if pinned else cores,
        client_cores=cores[1:] if pinned else cores,
        turns=options.turns or (2 if options.quick else 3),
        calm=options.calm,
        cold=options.cold,
    )
    racing = Racing(ground, found)
    work = _work(racing, options)
    document: dict[str, Any] = {}
    for name in options.only or work:
        if name not in work:
            raise SystemExit(f"no row is called {name!r}; there are: {', '.join(work)}")
        commit = revision()  # beforehand: somebody may work on the tree meanwhile
        # Written after each row: a run that is broken off has still measured what it has.
        document = save(out / "results.json", work[name](), ground, found, " ".join(sys.argv[1:]), commit)
        (out / "RESULTS.md").write_text(markdown(document))
        (out / "benchmark.svg").write_text(svg(document))
    print(markdown(document))
    say(f"in {out}: results.json, RESULTS.md, benchmark.svg")
    if options.publish:
        home = Path(__file__).resolve().parents[2]
        shutil.copy(out / "RESULTS.md", home / "benchmarks/RESULTS.md")
        shutil.copy(out / "benchmark.svg", home / "docs/benchmark.svg")
    return 0


def _work(racing: Racing, options: argparse.Namespace) -> dict[str, Callable[[], Result]]:
    """What there is to do, by the row's name, in order."""
    files = options.files or NOTHING_TO_DO[options.quick]
    noop = f"noop-{options.files}" if options.files else "noop"
    return {
        "version": partial(versions, racing),
        **{row.name: partial(racing.race, row) for row in rows(quick=options.quick)},
        noop: partial(unchanged, racing, files, noop),
        "noop-listing": partial(listing, racing, LISTED[options.quick]),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the most telling rows, small: three minutes")
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="ROW,...", help="these rows")
    parser.add_argument("--files", type=int, metavar="N", help="of the row without work, which is then called noop-N")
    parser.add_argument("--turns", type=int, metavar="N", help="how often each client has its go (default: 3; quick: 2)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results and trees are kept (default: a new one in /tmp)")
    parser.add_argument("--pin", choices=("on", "off"), default="on", help="server on the first core, clients on the others")
    parser.add_argument("--calm", type=float, default=0.0, metavar="SECONDS", help="wait so long for a calm machine, each time")
    parser.add_argument("--cold", action="store_true", help="take the files out of the page cache before each run")
    parser.add_argument(
        "--publish", action="store_true", help="copy what came out to benchmarks/RESULTS.md and docs/benchmark.svg"
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
