"""What a command line means beside a mirror file; and a release mirrored through one mount and then through another."""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from asyncmirror.cli import knobs, problems, release, status, sync, verify
from asyncmirror.cli.gather import Gathered, Invocation
from asyncmirror.cli.main import main
from asyncmirror.engine.mirror import Mirror
from asyncmirror.formats.mirror_template import TEMPLATE
from asyncmirror.plan.schedule import Every, Schedule
from asyncmirror.settings import MaxDelete, Remap, Rule, Settings, Verification
from asyncmirror.store.memory import MemoryStore
from asyncmirror.testing import Credentials, S3Server, ServerConfig
from tests.cli.test_end_to_end import Ended, end


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror file in the working directory, its tree below it."""
    for name in os.environ:
        if name.startswith(("ASYNCMIRROR_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    for name in ("edr", "dr1"):
        (tmp_path / "tree" / name / "target").mkdir(parents=True)
    write(tmp_path)
    return tmp_path


def write(place: Path, more: str = "", root: str = "tree", aliases: str = "mount") -> None:
    (place / "asyncmirror.toml").write_text(
        f'root = "{place / root}"\naliases = ["{place / aliases}"]\nbucket = "box"\nprefix = "p"\nreleases = ["edr", "dr1"]\n'
        f'{more}\n[common]\n"{{release}}/target" = "target"\n[connection]\nendpoint-url = "http://127.0.0.1:1"\n'
    )


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Invocation]:
    """The syncs that were begun."""
    found: list[Invocation] = []

    def run(invocation: Invocation, *_: object) -> int:
        found.append(invocation)
        return 0

    monkeypatch.setattr(sync, "run", run)
    return found


@pytest.fixture
def ran(begun: list[Invocation], monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Their settings."""
    found: list[Settings] = []
    run = sync.run

    def noted(*given: Any) -> int:
        code = run(*given)
        found.append(begun[-1].settings)
        return int(code)

    monkeypatch.setattr(sync, "run", noted)
    return found


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


BOTH = (Remap("edr/target", "target"), Remap("dr1/target", "target"))


@pytest.mark.parametrize("command", ["sync", "adopt", "retry-failed"])
@pytest.mark.parametrize(
    ("argv", "subdirs"),
    [
        ([], ()),
        (["dr1"], ("dr1",)),
        (["dr1", "--subdir", "spectro/redux", "--subdir=target"], ("dr1/spectro/redux", "dr1/target")),
        (["--subdir", "edr/target"], ("edr/target",)),
    ],
)
def test_a_release_is_a_part_of_the_mirror(
    mirror: Path, ran: list[Settings], command: str, argv: list[str], subdirs: tuple[str, ...]
) -> None:
    assert main([command, *argv]) == 0
    (asked,) = ran
    assert asked.source == mirror / "tree"
    assert str(asked.destination) == "s3://box/p"
    assert (asked.within, asked.subdirs, asked.remaps) == (("edr", "dr1"), subdirs, BOTH)
    assert asked.connection.endpoint_url == "http://127.0.0.1:1"
    assert asked.journal is not None
    assert asked.journal.parent == mirror / "state/asyncmirror"


def test_a_flag_beats_a_variable_and_that_beats_the_file(
    mirror: Path, ran: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = (
        '[limits]\nconcurrency = 1\nloops = 2\nreaders = 3\n[selection]\nexclude = ["c", "d"]\n[objects]\nmetadata = "a=1,b=1"'
    )
    (mirror / "asyncmirror.toml").write_text((mirror / "asyncmirror.toml").read_text() + tables)
    monkeypatch.setenv("ASYNCMIRROR_CONCURRENCY", "10")
    monkeypatch.setenv("ASYNCMIRROR_LOOPS", "20")
    monkeypatch.setenv("ASYNCMIRROR_EXCLUDE", "b")
    monkeypatch.setenv("ASYNCMIRROR_METADATA", "a=2")
    argv = ["--concurrency", "100", "--exclude", "a", "--remap", "dr1/x=y", "--journal", str(mirror / "j"), "--root", "mount"]
    (mirror / "mount").symlink_to("tree")
    assert main(["sync", *argv]) == 0
    (asked,) = ran
    assert (asked.tuning.concurrency, asked.tuning.loops, asked.tuning.readers) == (100, 20, 3)
    assert asked.rules == tuple(Rule(include=False, pattern=pattern) for pattern in "abcd")
    assert asked.objects.metadata == {"a": "2", "b": "1"}
    assert asked.remaps == (*BOTH, Remap("dr1/x", "y"))
    assert (asked.journal, asked.source) == (mirror / "j", mirror / "mount")


SERVICE = """
[deletion]
delete = true
max-delete = "1%"
delete-unknown = true
[service]
watch = "15m"
http = "127.0.0.1:0"
"""
ONE_PERCENT = MaxDelete(0, 0.01)


def asked(invocation: Invocation) -> tuple[bool, bool, Schedule | None, bool, int]:
    settings = invocation.settings
    heard = settings.delete, settings.delete_unknown, invocation.watch, invocation.output.http is not None
    return (*heard, len(invocation.notices))


@pytest.mark.parametrize(
    ("argv", "heard"),
    [
        (["sync"], (True, True, Every(900), True, 0)),
        (["sync", "dr1"], (False, False, Every(900), True, 1)),
        (["sync", "--subdir", "dr1/x"], (False, False, Every(900), True, 1)),
        (["sync", "--no-delete"], (False, False, Every(900), True, 0)),
        (["sync", "--watch", "off", "--http", "off"], (True, True, None, False, 0)),
        (["sync", "--dry-run"], (True, True, None, False, 0)),
        (["retry-failed"], (False, False, None, True, 0)),
        (["adopt"], (False, False, None, False, 0)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_service_needs_no_flags_and_what_a_run_cannot_have_is_left_out(
    mirror: Path, begun: list[Invocation], argv: list[str], heard: tuple[object, ...]
) -> None:
    write(mirror, SERVICE)
    assert main(argv) == 0
    assert asked(begun[0]) == heard
    if begun[0].settings.delete:
        assert begun[0].settings.max_delete == ONE_PERCENT


def test_batches_of_a_mirror_that_deletes_and_watches(mirror: Path, begun: list[Invocation]) -> None:
    write(mirror, SERVICE)
    (mirror / "tree/dr1/x").touch()
    (mirror / "batch.json").write_text(json.dumps({"completed": [], "queued": [str(mirror / "tree/dr1/x")], "failed": []}))
    assert main(["sync", "--batches", "batch.json", "-q"]) == 0
    assert asked(begun[0]) == (False, False, None, True, 1)


def test_what_is_asked_for_aloud_and_cannot_be_had_is_refused_still(
    mirror: Path, begun: list[Invocation], capsys: pytest.CaptureFixture[str]
) -> None:
    write(mirror, SERVICE)
    assert "needs a look at the whole source" in refused(["sync", "dr1", "--delete"], capsys)
    assert "--watch and --dry-run" in refused(["sync", "--dry-run", "--watch", "1m"], capsys)
    assert not begun


def test_what_is_read_again_is_what_the_command_asks_for(mirror: Path, begun: list[Invocation]) -> None:
    write(mirror, SERVICE)
    for argv in (["sync"], ["retry-failed"], ["adopt"]):
        assert main(argv) == 0
        assert begun[-1].reread is not None
        assert knobs.fixed(begun[-1], begun[-1].reread()) == ()
    write(mirror, SERVICE.replace("15m", "16m").replace("1%", "2%").replace("127.0.0.1:0", "off"))
    assert begun[0].reread is not None
    assert sorted(knobs.fixed(begun[0], begun[0].reread())) == ["http", "max-delete"]


def test_where_a_destination_is_given_the_file_is_not_looked_at(
    mirror: Path, ran: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    (mirror / "asyncmirror.toml").write_text("[")
    assert main(["sync", "tree", "s3://other"]) == 0
    assert (ran[0].within, ran[0].remaps, ran[0].journal) == ((), (), None)
    assert "--config is for a mirror file" in refused(["sync", "tree", "s3://other", "--config", "x"], capsys)


def test_the_file_may_be_elsewhere(mirror: Path, ran: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert main(["sync", "edr", "--config", str(mirror / "asyncmirror.toml")]) == 0
    monkeypatch.setenv("ASYNCMIRROR_CONFIG", str(mirror / "asyncmirror.toml"))
    assert main(["sync", "edr"]) == 0
    assert ran[0] == ran[1]


def test_the_journal_is_the_same_whichever_root_is_there_or_stands_first(mirror: Path, ran: list[Settings]) -> None:
    assert main(["sync"]) == 0
    os.rename(mirror / "tree", mirror / "mount")
    assert main(["sync"]) == 0
    assert ran[1].source == mirror / "mount"
    assert ran[0].journal == ran[1].journal
    assert ran[0].journal is not None
    ran[0].journal.parent.mkdir(parents=True)
    ran[0].journal.touch()
    write(mirror, root="mount", aliases="tree")
    assert main(["sync"]) == 0
    assert ran[2].journal == ran[0].journal
    write(mirror, 'journal = "j.sqlite"')
    assert main(["sync"]) == 0
    assert ran[3].journal == mirror / "j.sqlite"


@pytest.mark.parametrize("command", ["verify", "gc"])
def test_a_name_that_no_mirror_file_explains_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = "s3://BUCKET[/PREFIX] must be given, not 'dr1': there is no asyncmirror.toml here (asyncmirror init writes one)"
    assert refused([command, "dr1"], capsys) == f"asyncmirror: {told}\n"


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize(
    ("argv", "tables", "says"),
    [
        (["sync", "dr2"], "", "'dr2' is no release of the mirror: it names edr, dr1"),
        (["sync", "--root", "/"], "", "--root '/' is not of the mirror (its root and aliases are "),
        (["sync", "--config", "none"], "", "can't be read: No such file"),
        (["sync"], "[limits]\nspeed = 9", "limits.speed is not known (what may stand in [limits]: concurrency, loops"),
        (["sync"], "[selection]\nremap = 'a=b'", "selection.remap is not known"),
        (["sync"], "[limits]\nconcurrency = [1, 2]", "limits.concurrency is one value, no list"),
        (["sync"], "[limits]\npart-size = 64", "asyncmirror.toml: limits.part-size: '64' is no size"),
        (["sync"], "[limits]\nconcurrency = 0", "asyncmirror.toml: limits.concurrency is 0; it must be from 1"),
        (["sync", "--remap", "edr/target=x"], "", "what is in 'edr/target' is remapped to 'target' and to 'x'"),
        (["verify"], "[batch]\nsize = 1", "batch.size is not known"),
        (["verify", "dr2"], "", "'dr2' is no release of the mirror: it names edr, dr1"),
        (["gc", "dr2"], "", "'dr2' is no release of the mirror: it names edr, dr1"),
        (["verify", "dr1"], "", "'dr1' is a release, and verify looks at the whole mirror (leave it out)"),
        (["verify", "http://box"], "", "the destination 'http://box' is no S3 URL"),
        (
            ["sync"],
            "[deletion]\nforce = true",
            "deletion.force is not known (what may stand in [deletion]: delete, max-delete,",
        ),
        (["sync"], "[deletion]\ndelete = 7", "asyncmirror.toml: deletion.delete: "),
        (["sync", "dr1"], "[deletion]\ndelete = 7", "asyncmirror.toml: deletion.delete: "),
        (["sync"], "[deletion]\ndelete-unknown = true", "deletion.delete-unknown says more than --delete"),
        (["sync"], "[service]\nwatch = 15", "asyncmirror.toml: service.watch: '15' is "),
        (["sync"], "[service]\nhttp = true", "asyncmirror.toml: service.http: 'yes' has no port"),
        (["sync"], "[service]\nhttp = 1\nhttp = 2", "it is no TOML: Cannot overwrite a value (at "),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    mirror: Path, argv: list[str], tables: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (mirror / "asyncmirror.toml").write_text((mirror / "asyncmirror.toml").read_text() + tables)
    assert says in refused(argv, capsys)


@pytest.mark.parametrize(
    ("command", "says"), [("sync", "SOURCE and s3://BUCKET"), ("status", "--journal FILE"), ("verify", "asyncmirror init")]
)
def test_without_a_file_it_is_told_what_is_missing(
    mirror: Path, command: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (mirror / "asyncmirror.toml").unlink()
    assert says in refused([command], capsys)


def test_what_asks_about_a_mirror_finds_its_journal(mirror: Path, ran: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def locate(gathered: Gathered, source: str | None, destination: str | None) -> int:
        asked.append(status.locate(gathered, source, destination))
        return 0

    def look(verification: Verification, *_: object) -> int:
        asked.append(verification.journal)
        return 0

    monkeypatch.setattr(status, "run", locate)
    monkeypatch.setattr(problems, "run", locate)
    monkeypatch.setattr(verify, "run", look)
    assert main(["sync"]) == 0
    os.rename(mirror / "tree", mirror / "elsewhere")  # neither root is there: the journal is all that is needed
    assert [main([command]) for command in ("status", "problems", "verify")] == [0, 0, 0]
    assert asked == [ran[0].journal] * 3


def test_a_release_is_divided_at_the_sizes_that_the_file_aims_at(
    mirror: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (mirror / "tree/dr1/x").write_bytes(bytes(3000))
    (mirror / "tree/dr1/target/y").write_bytes(bytes(3000))
    (mirror / "asyncmirror.toml").write_text(
        (mirror / "asyncmirror.toml").read_text() + '[batch]\nmin-size = "0B"\nmax-size = "4KB"'
    )
    assert main(["batch", "dr1", "-q"]) == 0
    assert json.loads(capfd.readouterr().out)["queued"] == [str(mirror / "tree/dr1/target"), str(mirror / "tree/dr1/x")]
    assert main(["batch", "dr1", "-q", "--max-size", "8KB"]) == 0
    assert json.loads(capfd.readouterr().out)["queued"] == [str(mirror / "tree/dr1")]
    (mirror / "dr1").mkdir()
    seen: list[str] = []

    def divide(_: Gathered, tree: str) -> int:
        seen.append(tree)
        return 0

    monkeypatch.setattr(release, "batch", divide)
    assert main(["batch", "dr1"]) == 0
    assert seen == ["dr1"]  # what is there is meant


def test_init_writes_a_file_once(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "new.toml"]) == 0
    assert (mirror / "new.toml").read_text() == TEMPLATE
    assert "new.toml is written" in capsys.readouterr().err
    assert "it is there already" in refused(["init"], capsys)
    assert main(["init", "none/new.toml"]) == 4


async def command(place: Path, url: str, state: str, *argv: str) -> Ended:
    key = Credentials()
    environ = {
        "HOME": str(place),
        "XDG_STATE_HOME": state,
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ASYNCMIRROR_NO_PROBE": "yes",
        "ASYNCMIRROR_ENDPOINT_URL": url,
    }
    pipe = asyncio.subprocess.PIPE
    return await end(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "asyncmirror", *argv, "--json", env=environ, cwd=place, stdout=pipe, stderr=pipe
        )
    )


async def test_a_release_goes_on_through_another_mount_of_the_tree(mirror: Path) -> None:
    for name in ("edr/target/x", "edr/docs/y", "dr1/target/z", "dr1/spectro/w", "left/out"):
        (mirror / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / "tree" / name).write_bytes(name.encode())
    # pytest's own directories have names too long for the socket beside the journal.
    with tempfile.TemporaryDirectory(prefix="am-") as state:
        await _moved(mirror, state)


async def _moved(mirror: Path, state: str) -> None:
    async with S3Server(ServerConfig(buckets=("box",))) as server:
        first = await command(mirror, server.url, state, "sync", "edr")
        assert (first.code, sorted(server.objects("box"))) == (0, ["p/edr/docs/y", "p/target/x"])
        os.rename(mirror / "tree", mirror / "mount")
        sent = len(server.requests)
        second = await command(mirror, server.url, state, "sync")
        assert second.code == 0
        assert {line["path"]: line["outcome"] for line in second.lines[:-1]} == {
            "edr/target/x": "unchanged",
            "edr/docs/y": "unchanged",
            "dr1/target/z": "complete",
            "dr1/spectro/w": "complete",
        }
        assert sum(request.op == "PutObject" for request in server.requests[sent:]) == 2
        assert sorted(server.objects("box")) == ["p/dr1/spectro/w", "p/edr/docs/y", "p/target/x", "p/target/z"]
        verified = await command(mirror, server.url, state, "verify", "--deep")
        assert (verified.code, verified.summary["equal"]) == (0, 4)


def test_prices_stand_in_the_file(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mirror / "tree" / "edr" / "file").write_bytes(bytes(1_000_000))

    def costs(*argv: str) -> tuple[float, float]:
        assert main(["plan", "--json", *argv]) == 0
        told = json.loads(capsys.readouterr().out)
        return told["monthly_cost"]["all"], told["request_cost"]

    assert costs() == pytest.approx((23e-6, 5e-6))
    write(mirror, "[prices]\nstorage-price = 1000\nrequest-price = 2.5\n")
    assert costs() == pytest.approx((1e-3, 2.5e-3))
    assert costs("--storage-price", "10") == pytest.approx((1e-5, 2.5e-3))
    of_class = '[prices.COLD]\nstorage-price = 500\n[prices."a.b"]\nstorage-price = 1\n'
    write(mirror, f"[prices]\nstorage-price = 1000\nrequest-price = 2.5\n{of_class}")
    assert costs() == pytest.approx((1e-3, 2.5e-3))
    assert costs("--storage-class", "COLD") == pytest.approx((5e-4, 2.5e-3))
    assert costs("--storage-class", "a.b") == pytest.approx((1e-6, 2.5e-3))
    assert costs("--storage-class", "COLD", "--storage-price", "10") == pytest.approx((1e-5, 2.5e-3))
    write(mirror, f'[objects]\nstorage-class = "COLD"\n{of_class}')
    assert costs()[0] == pytest.approx(5e-4)
    write(mirror, "[prices.COLD]\ngold = 1\n")
    assert "prices.COLD.gold is not known" in refused(["plan"], capsys)
    write(mirror, "[prices]\ngold = 1\n")
    assert "prices.gold is not known" in refused(["plan"], capsys)


def test_find_and_batch_go_by_the_file_and_its_rules(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(mirror, '[selection]\nexclude = ["/edr/tmp/", "*.log"]\n')
    for name in ("edr/tmp/a", "edr/keep/tmp/b", "edr/x.log"):
        (mirror / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / "tree" / name).write_bytes(b"12345")
    assert main(["find", "edr", "-q"]) == 0
    keep = ["keep", 0, 5, ["tmp", 0, 5, ["b", 1, 5]]]
    assert json.loads(capsys.readouterr().out) == ["edr", 0, 5, keep, ["target", 0, 0]]
    assert main(["batch", "edr", "-q"]) == 0
    assert [batch["size"] for batch in json.loads(capsys.readouterr().out)["batches"]] == [5]


def test_doctor_looks_at_what_the_file_names(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--no-write"]) in (3, 4)
    told = json.loads(capsys.readouterr().out)["findings"]
    assert any(str(mirror / "tree") in found["found"] for found in told), told
    assert any("127.0.0.1:1" in found["found"] for found in told)


async def test_export_by_the_name_of_a_release(mirror: Path, ran: list[Settings], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("edr/a", "dr1/b", "dr1/deep/c"):
        (mirror / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / "tree" / name).write_bytes(b"x")
    assert main(["sync"]) == 0
    async with Mirror(ran[0], MemoryStore()) as running:
        assert [event async for event in running.run()]

    def exported(*argv: str) -> list[str]:
        capsys.readouterr()
        assert main(["export", "-q", *argv]) == 0
        return capsys.readouterr().out.splitlines()

    assert exported() == ["./dr1/b", "./dr1/deep/c", "./edr/a"]
    assert exported("dr1") == ["./b", "./deep/c"]
    assert exported("dr1", "--subdir", "deep") == ["./c"]
    assert exported("--journal", str(ran[0].journal)) == ["./dr1/b", "./dr1/deep/c", "./edr/a"]
    assert "no release of the mirror" in refused(["export", "dr2"], capsys)


async def test_problems_of_a_release_are_its_own(mirror: Path, ran: list[Settings], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("edr/pipe", "dr1/pipe"):
        os.mkfifo(mirror / "tree" / name)
    assert main(["sync"]) == 0
    async with Mirror(ran[0], MemoryStore()) as running:
        assert [event async for event in running.run()]
    capsys.readouterr()
    for argv, paths in ((["problems"], ["dr1/pipe", "edr/pipe"]), (["problems", "dr1"], ["dr1/pipe"])):
        assert main(argv) == 0
        assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == paths
