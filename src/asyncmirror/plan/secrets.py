"""What looks like a secret: by its path, and by its content where that is a small text.

Owns the rules, each with a name, and nothing of what follows from them: whether the bucket is public and what is done with
such a file is `transfer.guard`'s business. Pure: works on paths and on bytes that were read already. The rules are few and
meant for accidents, not for malice: what somebody wants to hide from them, they don't see. docs/secrets.md tells users.

Sources: the default rules of gitleaks, detect-secrets and trufflehog, of them those that are almost never wrong; generic ones
(passwords in assignments, entropy) find far too much in scientific data.
"""

import re
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

LARGEST = 1 << 20
"""Bytes: a larger file is judged by its path only. Keys and tokens are kept in small files."""
# As git does (buffer_is_binary): what has a NUL in its first 8,000 bytes is no text.
_HEAD = 8000
# A log may name thousands of access keys without their secrets; decoys are not what these rules are for.
_LOOKS = 32
_NEAR = 300  # bytes between an access key and its secret, in a configuration file, a table or a JSON document
_BEHIND = 400  # bytes between a key's header and its first whole line: `Proc-Type`, `DEK-Info`, `Comment`


class Rule(NamedTuple):
    """One rule. All of it is compared in lower case.

    Args:
        name: What it is called in messages.
        what: What it finds, completing "looks like a secret: …".
        directories: Names of directories: whatever stands below one.
        names: Names of files, or ``DIRECTORY/NAME``.
        beginnings: What a file's name begins with.
        endings: What it ends with.
        but: Endings that are harmless all the same.
        content: What is looked for in small texts, in words; empty where the path alone decides.
    """

    name: str
    what: str
    directories: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    content: str = ""


RULES: tuple[Rule, ...] = (
    Rule(
        "aws-credentials",
        "AWS credentials",
        directories=(".aws",),
        names=("credentials.csv", "rootkey.csv", ".s3cfg", ".boto", ".passwd-s3fs"),
        endings=("_accesskeys.csv", "_credentials.csv"),
        content="an access key id (`AKIA…`, `ASIA…`) with a secret key near it, or `aws_secret_access_key` with its value",
    ),
    Rule("ssh", "SSH keys or settings", directories=(".ssh",)),
    Rule(
        "private-key",
        "a private key",
        beginnings=("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "x509up_u"),
        endings=(".pem", ".ppk"),
        but=(".pub",),
        content="`-----BEGIN … PRIVATE KEY-----` with a key behind it, whatever the file is called (`*.key` too)",
    ),
    Rule("key-store", "a store of keys or passwords", endings=(".p12", ".pfx", ".jks", ".kdbx", ".keytab")),
    Rule("gnupg", "GnuPG keys", directories=(".gnupg",)),
    Rule(
        "dotenv",
        "settings of an application, which often hold its passwords",
        names=(".env",),
        beginnings=(".env.",),
        but=(".example", ".sample", ".template", ".dist"),
    ),
    Rule(
        "password-file",
        "passwords of a program",
        names=(
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
            "rclone.conf",
        ),
        beginnings=("krb5cc_",),
    ),
    Rule(
        "cloud-login",
        "a login to a service",
        directories=(".azure", ".globus"),
        names=(
            ".docker/config.json",
            ".dockercfg",
            ".kube/config",
            "gh/hosts.yml",
            "gcloud/credentials.db",
            "gcloud/access_tokens.db",
            "gcloud/application_default_credentials.json",
        ),
    ),
    Rule("github-token", "a GitHub token", content="`ghp_…`, `gho_…`, `ghu_…`, `ghs_…`, `ghr_…`, `github_pat_…`"),
    Rule("gitlab-token", "a GitLab token", content="`glpat-…`"),
    Rule("slack-token", "a Slack token", content="`xoxb-…`, `xoxp-…` and the like"),
    Rule(
        "google-secret", "a Google OAuth client's secret", content="`GOCSPX-…`; service accounts are found by their private key"
    ),
)
"""All rules. Where several fit a path, the first of directories, names, beginnings, endings decides."""

WHAT = {rule.name: rule.what for rule in RULES}
"""What each rule finds, by the rule's name."""

_DIRECTORIES = {each.encode(): rule.name for rule in RULES for each in rule.directories}
_NAMES = {each.encode(): rule.name for rule in RULES for each in rule.names}
_PARENTS = frozenset(each.partition(b"/")[0] for each in _NAMES if b"/" in each)
_BEGINNINGS = {each.encode(): rule for rule in RULES for each in rule.beginnings}
_ENDINGS = {each.encode(): rule for rule in RULES for each in rule.endings}
# One call each tells of nearly all names that no rule fits.
_ANY_BEGINNING = tuple(_BEGINNINGS)
_ANY_ENDING = tuple(_ENDINGS)


class Place:
    """A directory, and what stands in it: made once for many names."""

    def __init__(self, directory: bytes) -> None:
        """Look at the directory's own path below the source."""
        components = directory.lower().split(b"/")
        self._whole = next((_DIRECTORIES[each] for each in components if each in _DIRECTORIES), "")
        self._parent = components[-1] + b"/" if components[-1] in _PARENTS else b""

    def rule(self, name: bytes) -> str:
        """The name of the rule that a file here is caught by; empty where there is none."""
        if self._whole:
            return self._whole
        name = name.lower()
        found = _NAMES.get(name, "")
        if not found and self._parent:
            found = _NAMES.get(self._parent + name, "")
        if not found and name.startswith(_ANY_BEGINNING):
            found = _first(_BEGINNINGS, name.startswith, name)
        if not found and name.endswith(_ANY_ENDING):
            found = _first(_ENDINGS, name.endswith, name)
        return found


def _first(parts: dict[bytes, Rule], fits: Callable[[bytes], bool], name: bytes) -> str:
    rule = next(rule for part, rule in parts.items() if fits(part))
    return "" if name.endswith(tuple(each.encode() for each in rule.but)) else rule.name


def is_text(data: bytes) -> bool:
    """Whether a file's bytes are looked into: a small one that is not binary."""
    return len(data) <= LARGEST and data.find(0, 0, _HEAD) < 0


def by_content(data: bytes) -> str:
    """The name of the rule that a text is caught by; empty where there is none. For what `is_text` says yes to."""
    for search, confirm in _CONTENTS:
        if search(data) is not None and (found := confirm(data)):
            return found
    return ""


# Each begins with a literal, which `re` skips to quickly; a class or a choice in front would make it thirty times slower.
_KEY_HEADER = re.compile(rb"PRIVATE KEY(?: BLOCK)?-----")
_KEY_BEGIN = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}\Z")
_KEY_LINE = re.compile(rb"[A-Za-z0-9+/]{40}")
_ACCESS_KEY = re.compile(rb"A[KS]IA[A-Z2-7]{16}(?![A-Za-z0-9])")
_SECRET_KEY = re.compile(rb"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_ASSIGNED = re.compile(rb"_(?:secret_access_key|SECRET_ACCESS_KEY)['\"]?[ \t]{0,20}[:=][ \t]{0,20}['\"]?([A-Za-z0-9/+]{40})\b")
_GIT = re.compile(rb"g(?:h[oprsu]_[0-9A-Za-z]{36}|ithub_pat_[0-9A-Za-z_]{82}|lpat-[0-9A-Za-z_-]{20})(?![0-9A-Za-z])")
_SLACK = re.compile(rb"xox[abeprs]-[0-9A-Za-z-]{24}")
_GOOGLE = re.compile(rb"GOCSPX-[0-9A-Za-z_-]{28}(?![0-9A-Za-z_-])")
_EXAMPLE = b"EXAMPLE"  # how AWS ends the keys of its documentation, and gitleaks those it passes over
_EXAMPLE_SECRET = b"EXAMPLEKEY"


def _private_key(data: bytes) -> str:
    """A header, and a line of a key behind it: a header alone stands in every program that reads keys."""
    for header in islice(_KEY_HEADER.finditer(data), _LOOKS):
        start, end = header.span()
        if _KEY_BEGIN.search(data[max(0, start - 60) : start]) and _KEY_LINE.search(data[end : end + _BEHIND]):
            return "private-key"
    return ""


def _access_key(data: bytes) -> str:
    """An access key id that is no example, with a secret near it: an id alone is no secret, every presigned URL has one."""
    for key in islice(_ACCESS_KEY.finditer(data), _LOOKS):
        start, end = key.span()
        if data[start - 1 : start].isalnum() or key[0].endswith(_EXAMPLE):
            continue
        near = data[max(0, start - _NEAR) : end + _NEAR]
        if any(_is_mixed(secret[0]) for secret in _SECRET_KEY.finditer(near)):
            return "aws-credentials"
    return ""


def _assigned_key(data: bytes) -> str:
    """A secret key with its usual name before it; stores that are not Amazon's have access key ids of any kind."""
    values = (assigned[1] for assigned in islice(_ASSIGNED.finditer(data), _LOOKS))
    return "aws-credentials" if any(_is_mixed(value) for value in values) else ""


def _is_mixed(secret: bytes) -> bool:
    """Whether 40 characters are a secret key: a SHA-1 and a path have no upper case, lower case and digits together."""
    kinds = (re.search(kind, secret) for kind in (rb"[A-Z]", rb"[a-z]", rb"[0-9]"))
    return all(kinds) and not secret.endswith(_EXAMPLE_SECRET)


def _git_token(data: bytes) -> str:
    token = _GIT.search(data)
    return "" if token is None else "gitlab-token" if token[0].startswith(b"gl") else "github-token"


_CONTENTS: tuple[tuple[Callable[[bytes], re.Match[bytes] | None], Callable[[bytes], str]], ...] = (
    (_KEY_HEADER.search, _private_key),
    (_ACCESS_KEY.search, _access_key),
    (_ASSIGNED.search, _assigned_key),
    (_GIT.search, _git_token),
    (_SLACK.search, lambda _: "slack-token"),
    (_GOOGLE.search, lambda _: "google-secret"),
)
