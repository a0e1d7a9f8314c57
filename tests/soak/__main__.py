"""What scripts/soak runs: kills at every step, kills at random moments, then the state machine until the time is up."""

import argparse
import contextlib
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import boto3  # noqa: F401  loaded once, before the clock runs

from asyncmirror.sizes import MIB
from tests.acceptance.command import Site
from tests.acceptance.evidence import client
from tests.acceptance.servers import Server, gateway, serve
from tests.soak.account import Account
from tests.soak.kills import Kills, plant
from tests.soak.machine import play
from tests.soak.steps import Steps
from tests.soak.strict import strict
from tests.soak.tree import Tree


def say(text: str) -> None:
    """One line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Run it, and give the exit code: 0 only if all promises were kept."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    deadline = began + 60 * options.minutes
    account, chance = Account(), random.Random(options.seed)
    say(f"seed {options.seed}, {options.server} server, {options.minutes:g} minutes")
    with tempfile.TemporaryDirectory(prefix="asyncmirror-soak-") as name:
        work = Path(name)
        if options.server == "strict":
            _steps(work / "steps", account, chance, deadline)
        _kills(work / "kills", account, chance, options, deadline)
        if options.server == "strict":
            _machine(work / "machine", account, chance, deadline)
    for label, value in account.report():
        say(f"{label:<46}{value:>12,}")
    say(f"{time.monotonic() - began:.0f} s")
    for failure in account.failures():
        say(failure)
    return 0 if account.good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/soak", description="Kills runs, changes files, and makes the accounts up.")
    parser.add_argument("minutes", type=float, metavar="MINUTES", help="when to stop")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="default: a new one each time")
    parser.add_argument("--kills", type=int, default=100, help="kills at random moments (default: %(default)s)")
    parser.add_argument("--server", choices=("strict", "rgw"), default="strict", help="default: %(default)s")
    return parser


def _steps(work: Path, account: Account, chance: random.Random, deadline: float) -> None:
    """A kill at every step, and pairs of kills."""
    work.mkdir()
    with strict() as server:
        steps = Steps(work, server, account)
        count = 0
        for count in steps.each():  # noqa: B007  the last is how many there are
            if time.monotonic() > deadline:
                break
        pairs = 0
        while pairs < count and time.monotonic() < deadline:
            steps.kill_at(chance.randint(1, count), chance.randint(1, count))
            pairs += 1
    say(f"killed at each of {count} steps, and {pairs} times at two of them")


def _machine(work: Path, account: Account, chance: random.Random, deadline: float) -> None:
    """The state machine, game after game; it ends with the first promise that is broken."""
    work.mkdir()
    with strict() as server:
        while account.good and time.monotonic() < deadline:
            number = chance.getrandbits(32)
            try:
                play(server, account, work, number, games=4, steps=25)
            except AssertionError as error:
                say(f"state machine, {error}")
    say(f"{account.steps} steps of the state machine")


@contextlib.contextmanager
def _server(kind: str, work: Path) -> Iterator[Server]:
    with serve("asyncmirror.testing", "--bucket", "box") if kind == "strict" else gateway(work / "rgw") as server:
        if kind != "strict":
            with client(Site(server.url, "box")) as s3:
                s3.create_bucket(Bucket="box")
        yield server


def _kills(work: Path, account: Account, chance: random.Random, options: argparse.Namespace, deadline: float) -> None:
    """Kills at random moments."""
    work.mkdir()
    tree = Tree(work / "tree", chance, large=8 * MIB)
    plant(tree, chance, small=1000, large=5)
    home = work / "home"
    home.mkdir()
    with _server(options.server, work) as server:
        for done in Kills(home, server, Site(server.url, "box"), tree, account, chance).run(options.kills, changes=40):
            say(f"{done} kills at random moments, {'good' if account.good else 'BROKEN'}")
            if time.monotonic() > deadline:
                break


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
