"""What scripts/kills runs: the loop of kills at length, over 2,000 small and 6 large files, and its figures."""

import argparse
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.acceptance.command import Site
from tests.acceptance.kills import Kills, Shape, make_tree
from tests.acceptance.servers import serve

SHAPE = Shape(small=2000, small_size=16 << 10, large=6, large_size=64 << 20)
GROWTH = 40
"""Requests until a kill, on average: fewer than a fiftieth of what the tree takes."""


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Run it, and give the exit code: 0 only if nothing that was confirmed was sent again and every byte is there."""
    parser = argparse.ArgumentParser(prog="scripts/kills", description="Kills runs and counts what is sent again.")
    parser.add_argument("kills", nargs="?", type=int, default=50, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="default: a new one each time")
    options = parser.parse_args(arguments)
    say(f"{options.kills} kills, seed {options.seed}")
    began = time.monotonic()
    chance = random.Random(options.seed)
    with (
        tempfile.TemporaryDirectory(prefix="asyncmirror-kills-") as name,
        serve("asyncmirror.testing.moto", "--bucket", "box") as server,
    ):
        work = Path(name)
        make_tree(work / "tree", SHAPE, chance)
        kills = Kills(work, server, Site(server.url, "box"), work / "tree", chance, "--part-size", "8MiB")
        counts = kills.run(options.kills, GROWTH)
    for label, value in counts.report():
        say(f"{label:<38}{value:>8,}")
    say(f"{time.monotonic() - began:.0f} s")
    return 0 if counts.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
