"""What scripts/fuzz runs: every target in turn, a batch of inputs each, until the time is over."""

import argparse
import random
import resource
import secrets
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.alarm import HungError
from tests.fuzz.every import TARGETS

_BATCH = 20
"""How many times the inputs of the test suite stand in one batch."""
_LARGEST = 1 << 20
"""KiB that the whole process may grow to."""


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Fuzz, and give the exit code: 0 only if nothing was found."""
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Feeds the product what it should never be fed.")
    parser.add_argument("minutes", nargs="?", type=float, default=10.0, metavar="MINUTES", help="(default: %(default)g)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="(default: a new one each time)")
    parser.add_argument(
        "--only", action="append", choices=names, metavar="TARGET", help=f"one of {', '.join(names)}; may repeat"
    )
    options = parser.parse_args(arguments)
    chosen = [target for target in TARGETS if target.name in (options.only or names)]
    say(f"seed {options.seed}: {', '.join(target.name for target in chosen)}")
    end = time.monotonic() + options.minutes * 60
    numbers = random.Random(options.seed)
    inputs: Counter[str] = Counter()
    found: set[str] = set()
    while chosen and time.monotonic() < end:
        for target in chosen:
            number = numbers.getrandbits(32)
            with tempfile.TemporaryDirectory(prefix="asyncmirror-fuzz-") as work:
                try:
                    inputs[target.name] += target.hunt(Path(work), number, target.examples * _BATCH)
                except (Exception, HungError):  # noqa: BLE001  whatever it is, it is a find
                    found.add(target.name)
                    say(f"FOUND in {target.name}, seed {number}:\n{traceback.format_exc()}")
            if time.monotonic() >= end:
                break
        chosen = [target for target in chosen if target.name not in found]
    for name, count in inputs.items():
        say(f"{name:<12}{count:>12,} inputs")
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say(f"{inputs.total():,} inputs, largest {largest >> 10:,} MiB, found in: {', '.join(sorted(found)) or 'none'}")
    return 1 if found or largest > _LARGEST else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
