import contextlib
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from asyncmirror.testing import S3Server, read_log
from tests.testing.s3_clients import Boto


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command as a process, and the port it listens on."""
    command = [sys.executable, "-m", "asyncmirror.testing", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            assert told["pid"] == process.pid
            yield process, int(told["url"].rpartition(":")[2])
        finally:
            process.kill()


async def test_it_serves_logs_to_a_file_and_ends_on_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    plan = '{"faults": [{"op": "PutObject", "kind": "status", "status": 503, "code": "SlowDown", "at": [1]}]}'
    with _process("--bucket", "data", "--log", str(log), "--faults", plan) as (process, port):
        boto = Boto(S3Server(), url=f"http://127.0.0.1:{port}")
        assert await boto.code("put_object", Bucket="data", Key="a", Body=b"x") == "SlowDown"
        await boto("put_object", Bucket="data", Key="a", Body=b"x")
        logged = [(one.op, one.key, one.status, one.body_bytes, one.fault) for one in read_log(log)]
        assert logged == [("PutObject", "a", 503, 1, "status"), ("PutObject", "a", 200, 1, "")]
        boto.client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_it_ends_with_its_input() -> None:
    with _process("--until-eof") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_it_speaks_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    with _process("--tls-cert", str(chain), "--tls-key", str(key), "--profile", "null") as (_, port):
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(b"PUT /bucket/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
            assert secure.recv(100).startswith(b"HTTP/1.1 200 OK")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"PUT /bucket/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
            return client.recv(100).startswith(b"HTTP/1.1 200 OK")
    except ConnectionError:
        return False


def test_several_processes_share_a_port_and_end_with_the_first() -> None:
    with _process("--profile", "null", "--processes", "3") as (process, port):
        assert all(_answers(port) for _ in range(20))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        watches = [os.pidfd_open(int(child)) for child in children]
        process.kill()
        for watch in watches:
            assert select.select([watch], [], [], 10)[0], "a child outlived the first process"
            os.close(watch)


@pytest.mark.parametrize(
    "arguments",
    [["--faults", "{"], ["--faults", "/no/such/file"], ["--processes", "2"], ["--tls-cert", "/no/such/file"]],
)
def test_what_cannot_be_is_a_usage_error(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asyncmirror.testing", *arguments], capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert b"error:" in done.stderr
    assert b"Traceback" not in done.stderr
