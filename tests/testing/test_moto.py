import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from asyncmirror.testing.moto import MotoServer, read_log


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MotoServer]:
    with MotoServer("box", log=tmp_path / "log.jsonl") as server:
        yield server


def connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection.request(
        method, path, body, {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20250101/us-east-1/s3/aws4_request"}
    )
    with connection.getresponse() as answer:
        return answer.status, answer.read()


def test_one_connection_carries_many_requests(server: MotoServer) -> None:
    connection = connect(server.url)
    ask(connection, "PUT", "/box/a%20%C3%A9", b"one")
    first = connection.sock
    assert first is not None
    for path, length in (("/box/empty", 0), ("/box/large", 200_000)):
        assert ask(connection, "PUT", path, b"x" * length) == (200, b"")
        assert ask(connection, "HEAD", path) == (200, b"")
        assert ask(connection, "GET", path) == (200, b"x" * length)
    assert ask(connection, "GET", "/box/absent")[0] == 404
    assert ask(connection, "DELETE", "/box/empty")[0] == 204
    assert ask(connection, "GET", "/box/a%20%C3%A9") == (200, b"one")
    assert connection.sock is first
    connection.close()


def test_the_log_tells_what_was_sent(server: MotoServer, tmp_path: Path) -> None:
    connection = connect(server.url)
    ask(connection, "PUT", "/box/dir/a%20b", b"12345")
    created = ask(connection, "POST", "/box/m?uploads=")[1].decode()
    upload_id = created.partition("<UploadId>")[2].partition("</UploadId>")[0]
    assert ask(connection, "PUT", f"/box/m?partNumber=7&uploadId={upload_id}", b"part")[0] == 200
    assert ask(connection, "PUT", "/box/m?partNumber=1&uploadId=none", b"part")[0] == 500  # moto's own failing
    connection.close()
    seen = [(r.method, r.path, r.status, r.length, r.part, r.upload_id) for r in server.requests]
    assert seen == [
        ("PUT", "/box", 200, 0, 0, ""),
        ("PUT", "/box/dir/a b", 200, 5, 0, ""),
        ("POST", "/box/m", 200, 0, 0, ""),
        ("PUT", "/box/m", 200, 4, 7, upload_id),
        ("PUT", "/box/m", 500, 4, 1, "none"),
    ]
    with (tmp_path / "log.jsonl").open() as lines:
        assert tuple(read_log(lines)) == server.requests


def test_a_log_line_still_being_written_is_left_out(server: MotoServer, tmp_path: Path) -> None:
    text = (tmp_path / "log.jsonl").read_text()
    assert read_log([text, text.rstrip("\n")]) == list(server.requests)


def test_a_body_that_ends_early_stores_nothing(server: MotoServer) -> None:
    host, port = urlsplit(server.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as half:
        half.sendall(b"PUT /box/half HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        half.shutdown(socket.SHUT_WR)
        assert half.recv(1) == b""
    assert [(r.path, r.status, r.length) for r in server.requests[1:]] == [("/box/half", 0, 5)]
    connection = connect(server.url)
    assert ask(connection, "GET", "/box/half")[0] == 404
    connection.close()


def test_each_server_begins_empty_and_hangs_up_at_its_end(server: MotoServer) -> None:
    with MotoServer("other") as second:
        connection = connect(second.url)
        assert ask(connection, "GET", "/box")[0] == 404
        assert connection.sock is not None
    assert connection.sock.recv(1) == b""
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        ask(connect(second.url), "GET", "/other")
    assert server.url != second.url


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_its_address_and_ends_on_a_signal(end: signal.Signals, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    command = [sys.executable, "-m", "asyncmirror.testing.moto", "--bucket", "box", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            assert told["pid"] == process.pid
            connection = connect(told["url"])
            assert ask(connection, "PUT", "/box/k", b"v")[0] == 200
            process.send_signal(end)
            assert process.communicate(timeout=20) == (b"", b"")
        finally:
            process.kill()  # nothing outlives a test that failed
    assert process.returncode == 0
    connection.close()
    with log.open() as lines:
        assert [request.path for request in read_log(lines)] == ["/box", "/box/k"]


def test_a_bucket_that_moto_refuses_leaves_no_server_behind() -> None:
    refused = MotoServer("b")
    with pytest.raises(OSError, match="InvalidBucketName"), refused:
        pass
    with pytest.raises(ConnectionRefusedError):
        ask(connect(refused.url), "GET", "/")


def test_without_moto_the_error_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "moto.py").write_text("raise ImportError('no moto here')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import asyncmirror.testing.moto"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1] == ("ImportError: the embedded S3 server needs moto: pip install 'asyncmirror[demo]'")
