import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from asyncmirror.cli import gather
from asyncmirror.cli.command_options import DELETE
from asyncmirror.cli.gather import Invocation, Output
from asyncmirror.cli.main import parse
from asyncmirror.cli.options import OPTIONS, Option
from asyncmirror.errors import UsageError
from asyncmirror.http.address import Address
from asyncmirror.model import Algorithm
from asyncmirror.settings import Connection, ObjectOptions, Remap, Rule, Secrets, Settings, Stubs, Symlinks, Tuning
from asyncmirror.sizes import MIB
from asyncmirror.timetable import Timetable

ALL = [option for group in OPTIONS.values() for option in group]
SWITCHES = [option for option in ALL if not option.metavar]
HERE = Path(__file__).resolve()


class Example(NamedTuple):
    """A good text and its value, another good text and its value, and a bad text."""

    text: str
    value: object
    other: str
    other_value: object
    bad: str


def keep(pattern: str) -> Rule:
    return Rule(include=True, pattern=pattern)


def drop(pattern: str) -> Rule:
    return Rule(include=False, pattern=pattern)


ON = Example("yes", value=True, other="no", other_value=False, bad="maybe")
OFF = Example("yes", value=False, other="no", other_value=True, bad="maybe")
EXAMPLES: Mapping[str, Example] = {
    "endpoint-url": Example("http://127.0.0.1:9000", "http://127.0.0.1:9000", "https://s3.test", "https://s3.test", "s3.test"),
    "profile": Example("desi", "desi", "other", "other", "\x1b"),
    "region": Example("us-west-2", "us-west-2", "eu-1", "eu-1", "\n"),
    "no-sign-request": OFF,
    "ca-bundle": Example(str(HERE), HERE, str(HERE), HERE, "/nowhere/ca.pem"),
    "addressing-style": Example("path", "path", "virtual", "virtual", "dns"),
    "unsigned-payload": ON,
    "storage-class": Example("STANDARD_IA", "STANDARD_IA", "GLACIER", "GLACIER", "ü"),
    "sse": Example("AES256", "AES256", "aws:kms", "aws:kms", "rot13"),
    "sse-kms-key-id": Example("alias/desi", "alias/desi", "k", "k", "a\r\nx-evil: 1"),
    "acl": Example("public-read", "public-read", "private", "private", "a\nb"),
    "request-payer": Example("requester", "requester", "requester", "requester", "owner"),
    "metadata": Example("Project=desi,run=dr1", {"project": "desi", "run": "dr1"}, "a=b=c", {"a": "b=c"}, "project"),
    "content-type": Example("image/fits", "image/fits", "text/plain", "text/plain", "\x00"),
    "checksum-algorithm": Example("crc32c", Algorithm.CRC32C, "SHA256", Algorithm.SHA256, "md5"),
    "concurrency": Example("3", 3, "256", 256, "many"),
    "loops": Example("2", 2, "3", 3, "two"),
    "scanners": Example("2", 2, "9", 9, "-1"),
    "readers": Example("2", 2, "9", 9, "1.5"),
    "part-size": Example("8MiB", 8 * MIB, "64M", 64 * MIB, "8"),
    "multipart-threshold": Example("9MiB", 9 * MIB, "1GB", 10**9, "big"),
    "max-memory": Example("1GiB", 1 << 30, "2GiB", 2 << 30, "all"),
    "bwlimit": Example("200MiB", Timetable.parse("200M"), "08:00,1MiB 19:00,off", Timetable.parse("8:00,1M 19:00,0"), "200"),
    "max-requests-per-second": Example("200", 200.0, "off", 0.0, "many"),
    "max-open-files": Example("256", 256, "64", 64, "-1"),
    "request-timeout": Example("2.5", 2.5, "30s", 30.0, "soon"),
    "max-attempts": Example("1", 1, "20", 20, "∞"),
    "retry-window": Example("0", 0.0, "60", 60.0, "1h"),
    "include": Example("*.fits", (keep("*.fits"),), "a", (keep("a"),), "{a"),
    "exclude": Example("*.tmp", (drop("*.tmp"),), "b", (drop("b"),), "/"),
    "exclude-from": Example("rules", (drop("*.bak"), drop(" x")), "rules", (), "/nowhere/rules"),
    "subdir": Example("spectro/", ("spectro",), "a/b", ("a/b",), "../a"),
    "remap": Example("a/b=c/", (Remap("a/b", "c"),), "d=e=f", (Remap("d", "e=f"),), "a"),
    "symlinks": Example("record", Symlinks.RECORD, "follow", Symlinks.FOLLOW, "copy"),
    "stubs": Example("read", Stubs.READ, "skip", Stubs.SKIP, "recall"),
    "dry-run": ON,
    "trust-mtime": ON,
    "retry-failed": ON,
    "adopt": ON,
    "secrets": Example("stop", Secrets.STOP, "off", Secrets.OFF, "keep"),
    "allow-secrets": Example("*.pem", ("*.pem",), "a/", ("a/",), "[a"),
    "public": ON,
    "drop-cache": ON,
    "journal": Example("/var/tmp/j.db", Path("/var/tmp/j.db"), "/j", Path("/j"), "a\0b"),
    "json": ON,
    "quiet": ON,
    "no-probe": OFF,
    "no-overwrite": OFF,
    "no-progress": OFF,
    "http": Example("127.0.0.1:8642", Address("127.0.0.1", 8642), "[::1]:0", Address("::1", 0), "127.0.0.1"),
    "http-token-file": Example("/run/token", Path("/run/token"), "/etc/token", Path("/etc/token"), "\0"),
    "log-level": Example("debug", "debug", "info", "info", "loud"),
    "log-file": Example("/var/tmp/m.log", Path("/var/tmp/m.log"), "/l", Path("/l"), "a\0b"),
    "log-format": Example("text", "text", "json", "json", "xml"),
    "log-max-size": Example("1MiB", MIB, "off", 0, "1"),
    "log-keep": Example("1", 1, "1000", 1000, "-1"),
    "notify": Example("sh -c 'a b'", ("sh -c 'a b'",), "https://h/p", ("https://h/p",), "'"),
}


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules").write_bytes(b"\xef\xbb\xbf# a comment\n*.bak\r\n\n x\n")
    monkeypatch.chdir(tmp_path)


def invoke(argv: Sequence[str], environ: Mapping[str, str]) -> Invocation:
    arguments = parse(["sync", "/tmp", "s3://bucket/prefix", *argv])
    gathered = gather.gather(arguments.given, gather.from_environment(ALL, environ))
    return Invocation(gathered.settings(arguments.source, arguments.destination), gathered.output())


def value(invocation: Invocation, option: Option) -> object:
    section, _, name = option.field.partition(".")
    sections = {"settings": invocation.settings, "output": invocation.output}
    return getattr(sections.get(section) or getattr(invocation.settings, section), name)


def by_flag(option: Option, text: str) -> list[str]:
    if option.metavar:
        return [option.flags[0], text]
    return [option.flags[0]] if text == "yes" else [option.opposite]


def names(option: Option) -> str:
    return option.name


def test_every_option_has_an_example() -> None:
    assert {option.name for option in ALL} == set(EXAMPLES)


def test_every_field_of_the_settings_can_be_given() -> None:
    fields = {option.field for option in ALL}
    sections = {"connection": Connection, "objects": ObjectOptions, "tuning": Tuning, "settings": Settings, "output": Output}
    wanted = {f"{section}.{field.name}" for section, kind in sections.items() for field in dataclasses.fields(kind)}
    elsewhere = {f"settings.{name}" for name in ("source", "destination", "connection", "objects", "tuning")}
    elsewhere |= {"settings.send", "settings.trust_size", "settings.only_failed"}  # of other commands
    elsewhere |= {"settings.within"}  # of a mirror file
    elsewhere |= {option.field for option in DELETE}
    elsewhere |= {"tuning.auto"}  # --concurrency auto
    assert wanted - elsewhere == fields


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize("option", ALL, ids=names)
def test_an_option_is_read_from_its_flag(option: Option) -> None:
    example = EXAMPLES[option.name]
    for flag in option.flags:
        assert value(invoke([flag, *by_flag(option, example.text)[1:]], {}), option) == example.value


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize("option", ALL, ids=names)
def test_an_option_is_read_from_its_variable(option: Option) -> None:
    example = EXAMPLES[option.name]
    assert option.variable == "ASYNCMIRROR_" + option.name.upper().replace("-", "_")
    assert value(invoke([], {option.variable: example.text}), option) == example.value


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize("option", [option for option in ALL if not option.joined], ids=names)
def test_the_flag_beats_the_variable(option: Option) -> None:
    example = EXAMPLES[option.name]
    for text, expected in ((example.text, example.value), (example.other, example.other_value)):
        assert value(invoke(by_flag(option, text), {option.variable: example.bad}), option) == expected


@pytest.mark.parametrize("option", ALL, ids=names)
def test_a_bad_value_is_named_as_it_was_given(option: Option) -> None:
    bad = EXAMPLES[option.name].bad
    with pytest.raises(UsageError, match=f"^{option.variable}: "):
        invoke([], {option.variable: bad})
    if option.metavar:
        with pytest.raises(UsageError, match=f"^{option.flags[0]}: "):
            invoke([f"{option.flags[0]}={bad}" if option.flags[0].startswith("--") else bad], {})


@pytest.mark.parametrize("option", ALL, ids=names)
def test_an_empty_variable_is_no_variable(option: Option) -> None:
    assert value(invoke([], {option.variable: ""}), option) == value(invoke([], {}), option)


def test_defaults_are_those_of_the_settings() -> None:
    invocation = invoke([], {})
    assert invocation.settings == Settings(invocation.settings.source, invocation.settings.destination)
    assert invocation.output == Output()


@pytest.mark.parametrize(
    ("given", "auto", "most"),
    [((), True, 256), (("auto",), True, 256), (("7",), False, 7), (("7", "auto"), True, 256), (("AUTO", "7"), False, 7)],
)
def test_concurrency_is_a_number_or_found_out(given: tuple[str, ...], auto: bool, most: int) -> None:  # noqa: FBT001  expected
    tuning = invoke([f"--concurrency={text}" for text in given], {}).settings.tuning
    assert (tuning.auto, tuning.concurrency) == (auto, most)


def test_a_value_out_of_bounds_is_named_as_it_was_given() -> None:
    with pytest.raises(UsageError, match=r"^--concurrency is 0"):
        invoke(["--concurrency", "0"], {})
    with pytest.raises(UsageError, match=r"^ASYNCMIRROR_CONCURRENCY is 0"):
        invoke([], {"ASYNCMIRROR_CONCURRENCY": "0"})
    with pytest.raises(UsageError, match=r"^ASYNCMIRROR_PART_SIZE 1 GiB does not fit into --max-memory 512 MiB"):
        invoke([], {"ASYNCMIRROR_PART_SIZE": "1GiB"})


def test_rules_hold_in_their_order_and_those_of_the_environment_last() -> None:
    environ = {"ASYNCMIRROR_EXCLUDE": "e\nf", "ASYNCMIRROR_INCLUDE": "d"}
    given = invoke(["--exclude", "a", "--include", "b", "--exclude", "c"], environ).settings.rules
    assert given == (drop("a"), keep("b"), drop("c"), keep("d"), drop("e"), drop("f"))


def test_metadata_is_joined_and_the_flag_beats_the_variable_key_by_key() -> None:
    environ = {"ASYNCMIRROR_METADATA": "a=environment,b=environment"}
    given = invoke(["--metadata", "a=first,c=first", "--metadata", "a=second"], environ).settings.objects.metadata
    assert given == {"a": "second", "b": "environment", "c": "first"}


@pytest.mark.parametrize("text", ["a=1,a=2", "=x", "a b=c", "a=\n", "a=ü", "k=" + "x" * 2048])
def test_metadata_that_no_header_can_carry_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        invoke(["--metadata", text], {})


@pytest.mark.parametrize(
    "url",
    ["ftp://h", "http://", "https://user:secret@h", "http://h?x", "http://h#x", "http://[::1", "http://h:x", "http://h\x00"],
)
def test_an_endpoint_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="endpoint") as caught:
        invoke(["--endpoint-url", url], {})
    assert "secret" not in str(caught.value)


def test_a_source_that_is_no_utf_8_is_taken_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / b"\xff".decode("utf-8", "surrogateescape")
    source.mkdir()
    arguments = parse(["sync", str(source), "s3://bucket"])
    assert gather.gather(arguments.given, ()).settings(arguments.source, arguments.destination).source == source


def test_no_flag_turns_certificate_checking_off() -> None:
    words = ("verify", "insecure", "check-cert", "ssl", "tls")
    assert not [flag for option in ALL for flag in (*option.flags, option.opposite) if any(word in flag for word in words)]


@pytest.mark.parametrize("option", SWITCHES, ids=names)
def test_a_switch_of_the_environment_can_be_taken_back(option: Option) -> None:
    default = value(invoke([], {}), option)
    assert value(invoke([option.opposite], {option.variable: "yes"}), option) == default
