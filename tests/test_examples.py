"""What is in examples/ for systemd and Slurm: that those programs would take it, and that it does what it says."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asyncmirror.cli.main import parse

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
UNIT = EXAMPLES / "systemd" / "asyncmirror@.service"
SCRIPT = EXAMPLES / "slurm" / "asyncmirror.sbatch"


def settings(name: str) -> list[str]:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def test_the_unit_is_one(tmp_path: Path) -> None:
    if (verifier := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd is not installed")
    unit = tmp_path / "asyncmirror@demo.service"
    command = shlex.split(settings("ExecStart")[0])[0]
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(command, "/bin/true"), encoding="utf-8")
    told = subprocess.run([verifier, "verify", unit], capture_output=True, text=True, check=False, timeout=60)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_the_command_of_the_unit_is_ours() -> None:
    (command,) = settings("ExecStart")
    arguments = parse(shlex.split(command)[1:])
    assert [given.option.name for given in arguments.given] == ["config", "no-progress"]


def test_the_script_is_sound() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True, timeout=60)
    if (checker := shutil.which("shellcheck")) is None:
        pytest.skip("shellcheck is not installed")
    told = subprocess.run([checker, SCRIPT], capture_output=True, text=True, check=False, timeout=60)
    assert (told.returncode, told.stdout) == (0, "")


STAND_IN = """#!/bin/bash
echo "$@"
if [ -n "${CODE:-}" ]; then exit "$CODE"; fi
sleep 60 >/dev/null &
trap 'kill $!; exit 143' TERM
echo begun
wait
"""


@contextmanager
def job(directory: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The script as Slurm runs it; what it calls stands in for Slurm's commands and for ours."""
    for name, text in (("asyncmirror", STAND_IN), ("scontrol", "#!/bin/sh\necho scontrol $@\n")):
        (directory / name).write_text(text, encoding="utf-8")
        (directory / name).chmod(0o755)
    given = {"PATH": f"{directory}:{os.environ['PATH']}", "HOME": str(directory), "SLURM_JOB_ID": "7", **environment}
    command = ["bash", os.fspath(SCRIPT), "/m.toml", "edr"]
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True, start_new_session=True) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)


REQUEUED = ["exit code 143: queued again", "scontrol requeue 7"]
ENDED = ["exit code 143: the same command goes on where it was"]


@pytest.mark.parametrize(
    ("number", "count", "code", "says"),
    [(signal.SIGINT, "0", 0, REQUEUED), (signal.SIGINT, "100", 143, ENDED), (signal.SIGTERM, "0", 143, ENDED)],
)
def test_a_job_drains_and_is_queued_again(tmp_path: Path, number: int, count: str, code: int, says: list[str]) -> None:
    with job(tmp_path, SLURM_RESTART_COUNT=count) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "sync --config /m.toml --no-progress edr\n"
        assert running.stdout.readline() == "begun\n"
        if number == signal.SIGTERM:  # Slurm tells every process of a job that it ends
            os.killpg(running.pid, number)
        else:
            running.send_signal(number)
        said, _ = running.communicate(timeout=30)
    assert said.splitlines() == says
    assert running.returncode == code


@pytest.mark.parametrize(("given", "code", "says"), [("0", 0, "all is"), ("3", 3, "needs a person"), ("4", 0, "queued again")])
def test_a_job_that_ends_by_itself(tmp_path: Path, given: str, code: int, says: str) -> None:
    with job(tmp_path, CODE=given) as running:
        said, _ = running.communicate(timeout=30)
    assert says in said
    assert running.returncode == code
