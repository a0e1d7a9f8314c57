"""What scripts/watch-soak runs: `sync --watch 1m` for so many minutes."""

import argparse
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.soak.strict import strict
from tests.soak.watching import HEAD, Plan, report, soak


def main(arguments: Sequence[str]) -> int:
    """Run, print, and give the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/watch-soak")
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--interval", type=int, default=60, metavar="SECONDS")
    asked = parser.parse_args(arguments)
    say(f"seed {asked.seed}")
    say(HEAD)
    with tempfile.TemporaryDirectory(prefix="asyncmirror-watch-") as name, strict() as store:
        truth, table = soak(Path(name), store, Plan(asked.minutes * 60, asked.interval), asked.seed, say)
    return 1 if report(truth, table) else 0


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
