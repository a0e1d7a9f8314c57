"""The secrets guard as the command's user meets it: exit code, outputs, a second run with what was looked at let through."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Runner, Site, sync
from tests.acceptance.evidence import client, stored_keys
from tests.acceptance.servers import PATIENCE, Server, serve

KEY = "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1c7+9z5Pad7OejecsQ0bu3aozN3tihPmljnnudb9G3HECdnH\n"


@pytest.fixture
def opened() -> Iterator[Server]:
    """A server whose one bucket anybody may read."""
    with serve("asyncmirror.testing", "--public", "open") as server:
        yield server


@pytest.fixture
def tree(tree: Path) -> Path:
    (tree / "home" / ".ssh").mkdir(parents=True)
    (tree / "home" / ".ssh" / "config").write_text("Host *\n", encoding="utf-8")
    (tree / "notes.txt").write_text(KEY, encoding="utf-8")
    return tree


def test_what_the_user_sees_of_it(opened: Server, tree: Path, home: Path) -> None:
    site, journal = Site(opened.url, "open"), home / "journal"
    runner = Runner(home, site.environment(home))
    names = {b"home/.ssh/config", b"notes.txt"}

    with runner.start("sync", tree, "s3://open", "--journal", journal, "--dry-run") as dry:
        assert dry.process.wait(PATIENCE) == 3
        assert "refused: home/.ssh/config: dry run: looks like a secret: SSH keys or settings (rule ssh)" in dry.said()

    first = runner.run(*sync(tree, site, journal))
    assert first.code == first.summary["exit_code"] == 3
    assert first.summary["refused"] == 2
    assert first.summary["complete"] == 20
    assert {path for path, line in first.objects.items() if line["outcome"] == "refused"} == names
    assert "(rule private-key), and the bucket is public" in first.objects[b"notes.txt"]["reason"]
    assert "MIIEp" not in json.dumps(first.lines) + first.error

    stopped = runner.run(*sync(tree, site, journal, "--secrets", "stop"))
    assert stopped.code == 3
    last = stopped.error.splitlines()[-1]
    assert last.startswith(
        ("asyncmirror: home/.ssh/config: looks like a secret", "asyncmirror: notes.txt: looks like a secret")
    )
    assert "--allow-secrets PATTERN" in last

    allowed = runner.run(*sync(tree, site, journal, "--allow-secrets", "/notes.txt", "--allow-secrets", ".ssh/"))
    assert (allowed.code, allowed.error) == (0, "")
    with client(site) as s3:
        assert {"home/.ssh/config", "notes.txt"} <= stored_keys(s3, "open")
    assert not [request for request in opened.settled() if request.body and not request.stored]
