"""What ``python -m asyncmirror`` does: the same as the command."""

import sys

from asyncmirror.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
