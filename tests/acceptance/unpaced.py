"""The command without its pace: refusals change nothing but each request's own backing off. For scripts/storm to compare."""

import sys

from asyncmirror.cli.main import main
from asyncmirror.plan.pace import Pace


def _unmoved(self: Pace, *_: object) -> Pace:
    return self


Pace.refused = _unmoved  # type: ignore[assignment, method-assign]  # that is the point of it

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))  # behind the command's own path
