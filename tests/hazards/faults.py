"""System calls that fail as they are told to, by strace's injection; skipped where the machine forbids tracing."""

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest


@cache
def _refusal() -> str:
    if shutil.which("strace") is None:
        return "strace is not installed"
    injected = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=getppid:error=EIO", "true"]
    done = subprocess.run(injected, capture_output=True, text=True, check=False, timeout=20)
    return f"strace may not trace here: {done.stderr.strip()}" if done.returncode else ""


def failing(paths: Sequence[str | Path], calls: str, error: str, when: str = "1+") -> tuple[str | Path, ...]:
    """A command under which these system calls fail on these files.

    Args:
        paths: The files as the calls name them: a name where they open it below a directory's descriptor, else the whole path.
        calls: The calls, with commas between.
        error: The name of the error.
        when: Which calls, as strace(1) says it: ``3`` the third, ``3+`` from the third on.
    """
    if reason := _refusal():
        pytest.skip(reason)
    which = [argument for path in paths for argument in ("-P", path)]
    inject = f"inject={calls}:error={error}:when={when}"
    return ("strace", "-f", "-qq", "-o", "/dev/null", *which, "-e", f"trace={calls}", "-e", inject)
