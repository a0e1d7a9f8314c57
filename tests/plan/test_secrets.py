"""What looks like a secret, and what only resembles one; and that looking takes no longer for a hostile text."""

import string
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.plan.secrets import LARGEST, RULES, WHAT, Place, by_content, is_text

DOCUMENT = Path(__file__).parents[2] / "docs" / "secrets.md"
BASE64 = string.ascii_letters + string.digits + "+/"
ID = b"AKIA" + b"QRSTUVWX23456723"
SECRET = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYsomething1"  # 40 characters
PEM = b"MIIEpAIBAAKCAQEA1c7+9z5Pad7OejecsQ0bu3aozN3tihPmljnnudb9G3HECdnH\nlWu2/a1gB9JW5TBQ+AVpum9Okx7KfqkfBA==\n"


def by_path(path: bytes) -> str:
    """The name of the rule that a path below the source is caught by; empty where there is none."""
    directory, _, name = path.rpartition(b"/")
    return Place(directory).rule(name)


def private_key(kind: bytes = b"RSA ", before: bytes = b"") -> bytes:
    return b"-----BEGIN " + kind + b"PRIVATE KEY-----\n" + before + PEM + b"-----END " + kind + b"PRIVATE KEY-----\n"


PATHS = {
    "aws-credentials": (
        ".aws/credentials",
        "home/me/.aws/config",
        ".aws/sso/cache/x.json",
        "credentials.csv",
        "a/rootKey.csv",
        "me_accessKeys.csv",
        "new_user_credentials.csv",
        ".s3cfg",
        ".boto",
        ".passwd-s3fs",
    ),
    "ssh": (".ssh/config", "a/.ssh/known_hosts", "a/.ssh/b/c", ".SSH/id_rsa"),
    "private-key": (
        "id_rsa",
        "keys/id_ed25519",
        "id_rsa.bak",
        "id_dsa",
        "id_ecdsa_sk",
        "server.pem",
        "a/CA.PEM",
        "x.ppk",
        "x509up_u1000",
    ),
    "key-store": ("a.p12", "b.pfx", "c.jks", "d.kdbx", "krb5.keytab"),
    "gnupg": (".gnupg/pubring.kbx",),
    "dotenv": (".env", "app/.env", ".env.production", ".ENV"),
    "password-file": (
        ".netrc",
        "_netrc",
        ".pgpass",
        ".my.cnf",
        ".mylogin.cnf",
        ".git-credentials",
        ".htpasswd",
        ".pypirc",
        ".smbcredentials",
        ".vault-token",
        ".config/rclone/rclone.conf",
        "krb5cc_1000",
    ),
    "cloud-login": (
        ".azure/accessTokens.json",
        ".globus/userkey",
        ".docker/config.json",
        ".dockercfg",
        "a/.kube/config",
        ".config/gh/hosts.yml",
        ".config/gcloud/credentials.db",
        "gcloud/access_tokens.db",
        "gcloud/application_default_credentials.json",
    ),
    "": (
        "a.fits",
        "config",
        "config.json",
        "kube/config",
        "id_rsa.pub",
        "a/id_ed25519.pub",
        ".env.example",
        ".env.sample",
        "environment",
        "a.env",
        "credentials",
        "desi.key",
        "talk.key",
        "aws/credentials",
        "ssh/config",
        "pem",
        "hosts.yml",
        ".envrc",
        "rsa_id",
        "keytab",
        "monkey.csv",
        "a.pub",
        "pembroke.txt",
        "my_credentials.txt",
        ".env.dist",
        ".env.template",
    ),
}


@pytest.mark.parametrize(("rule", "path"), [(rule, path) for rule, paths in PATHS.items() for path in paths])
def test_the_rule_that_catches_a_path(rule: str, path: str) -> None:
    assert by_path(path.encode()) == rule


def test_every_part_of_every_rule_has_an_example() -> None:
    for rule in RULES:
        paths = [path.lower() for path in PATHS.get(rule.name, ())]
        names = [path.rpartition("/")[2] for path in paths]
        for directory in rule.directories:
            assert any(directory in path.split("/") for path in paths), directory
        for name in rule.names:
            assert any(f"/{path}".endswith(f"/{name}") for path in paths), name
        for beginning in rule.beginnings:
            assert any(name.startswith(beginning) for name in names), beginning
        for ending in rule.endings:
            assert any(name.endswith(ending) for name in names), ending
        for ending in rule.but:
            assert any(path.endswith(ending) for path in PATHS[""]), ending


CONTENTS = {
    "private-key": (
        private_key(),
        private_key(b""),
        private_key(b"OPENSSH "),
        private_key(b"EC "),
        private_key(b"ENCRYPTED "),
        private_key(before=b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF\n\n"),
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n" + PEM,
        b'{"type": "service_account", "private_key": "' + private_key(b"").replace(b"\n", b"\\n") + b'"}',
        b'KEY = "-----BEGIN PRIVATE KEY-----"\n' * 3 + private_key(),
        b"text " * 1000 + private_key(),
    ),
    "aws-credentials": (
        b"[default]\naws_access_key_id = " + ID + b"\naws_secret_access_key = " + SECRET + b"\n",
        b"Access key ID,Secret access key\n" + ID + b"," + SECRET + b"\n",
        b"export S3_SECRET=" + SECRET + b"\nexport S3_ID='" + ID + b"'\n",
        b'{"AccessKeyId": "ASIA' + ID[4:] + b'", "SecretAccessKey": "' + SECRET + b'"}',
        b"aws_secret_access_key=" + SECRET,
        b"export AWS_SECRET_ACCESS_KEY='" + SECRET + b"'",
        b'"aws_secret_access_key" : "' + SECRET + b'"',
    ),
    "github-token": (b"token: ghp_" + b"a1B2" * 9, b"ghs_" + b"z" * 36 + b"\n", b"github_pat_" + b"A_1" * 27 + b"b"),
    "gitlab-token": (b"glpat-" + b"x-Y_9" * 4,),
    "slack-token": (b"SLACK=xoxb-123456789012-abcdefghijklmnop",),
    "google-secret": (b'"client_secret": "GOCSPX-' + b"aB3-" * 7 + b'"',),
    "": (
        b"",
        b"-----BEGIN CERTIFICATE-----\n" + PEM,
        b"-----BEGIN PUBLIC KEY-----\n" + PEM,
        b'if line == "-----BEGIN RSA PRIVATE KEY-----":\n    key = read(line)\n',
        b"PRIVATE KEY-----\n" + PEM,
        b"The user is " + ID,
        b"https://b.s3.amazonaws.com/k?X-Amz-Credential=" + ID + b"%2F20250101&X-Amz-Signature=" + b"ab" * 32,
        ID + b" " + b"da39a3ee5e6b4b0d3255bfef95601890afd80709",  # a SHA-1
        b"AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        b"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        b"aws_secret_access_key = ...",
        ID + b" " * 1000 + SECRET,
        b"X" + ID + b" " + SECRET,
        b"ghp_short, ghost_" + b"a" * 36,
        b"glpat-short xoxb-short GOCSPX-short",
        b"0123456789abcdef" * 4 + b"  exposures/20210101/cframe-b0-00000001.fits.gz\n",
    ),
}


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in CONTENTS.items() for text in texts])
def test_the_rule_that_catches_a_content(rule: str, text: bytes) -> None:
    assert is_text(text)
    assert by_content(text) == rule


def test_every_rule_about_content_has_an_example() -> None:
    assert {rule.name for rule in RULES if rule.content} == set(CONTENTS) - {""}
    assert set(WHAT) == {rule.name for rule in RULES}


def test_only_small_texts_are_looked_into() -> None:
    assert is_text(b"a" * LARGEST)
    assert not is_text(b"a" * (LARGEST + 1))
    assert not is_text(b"SIMPLE  =" + bytes(10) + private_key())
    assert is_text(b"a" * 8000 + b"\0")


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_any_path_is_judged(directory: bytes, name: bytes) -> None:
    assert Place(directory).rule(name) in {"", *WHAT}


@given(st.text(alphabet=BASE64, min_size=40, max_size=40), st.binary(max_size=2000).filter(lambda data: 0 not in data))
def test_a_key_is_found_wherever_it_stands(line: str, around: bytes) -> None:
    key = b"\n-----BEGIN PRIVATE KEY-----\n" + line.encode() + b"\n"
    assert by_content(around + key) == "private-key"
    assert by_content(key + around) == "private-key"


@given(st.binary(max_size=4000))
def test_any_content_is_judged(data: bytes) -> None:
    assert by_content(data) in {"", *WHAT}


HOSTILE = (
    b"A",
    b"AKIA",
    b"-----BEGIN ",
    b"-----BEGIN " + b"A" * 19 + b" ",
    b"-----BEGIN PRIVATE KEY-----",
    b"-----BEGIN RSA PRIVATE KEY-----\n" + b"a" * 39 + b" ",
    ID + b" ",
    ID + b"," + b"a" * 39 + b"!",
    ID + b"," + b"a" * 40 + b",",
    b"aws_secret_access_key=",
    b"aws_secret_access_key" + b" " * 20 + b"=" + b" " * 20,
    b"_SECRET_ACCESS_KEY=" + b"a" * 40 + b"\n",
    b"ghp_" + b"a" * 35 + b"-",
    b"gh",
    b"github_pat_" + b"_" * 81 + b"-",
    b"glpat-" * 4,
    b"xoxb-",
    b"GOCSPX-" + b"a" * 27 + b"!",
    b"a/",
    b"\n",
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_holds_the_rules_up(piece: bytes) -> None:
    """An ordinary text of 1 MiB takes some 3 ms; what backtracks would take minutes."""
    text = (piece * (LARGEST // len(piece) + 1))[:LARGEST]
    began = time.thread_time()
    by_content(text)
    assert time.thread_time() - began < 0.25


@given(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=6), st.integers(1, 60))
def test_no_mixture_holds_the_rules_up(pieces: list[bytes], times: int) -> None:
    text = b"".join(piece * times for piece in pieces)
    text = (text * (LARGEST // 8 // len(text) + 1))[: LARGEST // 8]
    began = time.thread_time()
    by_content(text)
    assert time.thread_time() - began < 0.2


def table() -> str:
    rows = ["| rule | finds | by path | but not | by content |", "| --- | --- | --- | --- | --- |"]
    for rule in RULES:
        paths = [f"`{each}/`" for each in rule.directories] + [f"`{each}`" for each in rule.names]
        paths += [f"`{each}*`" for each in rule.beginnings] + [f"`*{each}`" for each in rule.endings]
        but = ", ".join(f"`*{each}`" for each in rule.but)
        rows.append(f"| {rule.name} | {rule.what} | {', '.join(paths)} | {but} | {rule.content} |")
    return "\n".join(rows)


def test_the_table_of_the_documentation_is_that_of_the_rules() -> None:
    """What docs/secrets.md says is what this makes of the rules: copy it from the failure."""
    assert table() in DOCUMENT.read_text(encoding="utf-8"), table()
