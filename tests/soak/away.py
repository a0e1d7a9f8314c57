"""What scripts/outages plays: every outage at its length, as an account of what the process said and did."""

import sys
import tempfile
from pathlib import Path

from tests.soak.outages import OUTAGES, may_mount
from tests.soak.strict import strict


def main() -> int:
    """Play them, and give the exit code."""
    amiss = 0
    for outage in OUTAGES:
        doc = (outage.play.__doc__ or "").strip()
        say(f"== {outage.play.__name__}: {doc}")
        if outage.root and not may_mount():
            say("   skipped: mounting is not allowed here")
            continue
        with tempfile.TemporaryDirectory(prefix="asyncmirror-outage-") as name, strict() as store:
            broken = outage.play(Path(name), store, outage.seconds, say)
        amiss += len(broken)
        say("".join(f"   AMISS {each}\n" for each in broken) or "   all is in the bucket, and no file was called failed\n")
    return 1 if amiss else 0


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
