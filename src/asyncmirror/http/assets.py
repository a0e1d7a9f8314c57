"""The page's files, as they lie in the package: read once, told with their type and a tag that changes with them.

Owns which there are. The page asks nothing of any other host, and all that it runs stands in these files.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

_TYPES: Mapping[str, str] = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """A file: its bytes, its media type, and a tag for `If-None-Match`."""

    body: bytes
    content_type: str
    tag: str


def load() -> Mapping[str, Asset]:
    """All of them by name."""
    found: dict[str, Asset] = {}
    for file in files("asyncmirror.http").joinpath("static").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            body = file.read_bytes()
            found[file.name] = Asset(body, kind, hashlib.sha256(body).hexdigest()[:16])
    return found
