"""What is stored beside an object's bytes: content type and metadata.

Owns the names of the metadata that asyncmirror writes. `mtime` is rclone's, seconds since the epoch with nine decimals, so
that rclone sees the files' times; `asyncmirror-nonce` is drawn for each upload and tells our own object from another's when
an answer was lost. Only the types that Python itself knows are guessed, so that every machine guesses alike.
"""

import mimetypes
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote_from_bytes

from asyncmirror.model import Properties

NONCE = "asyncmirror-nonce"
MTIME = "mtime"
SYMLINK_TARGET = "symlink-target"
_DEFAULT = "application/octet-stream"
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
# What of a symbolic link's target stands in the header as it is; the rest is percent-encoded: a header is printable ASCII.
_PRINTABLE = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}"
_TYPES = mimetypes.MimeTypes()
_TYPES.add_type("application/fits", ".fits")
_TYPES.add_type("application/fits", ".fit")
_TYPES.add_type("application/yaml", ".yaml")
_TYPES.add_type("application/vnd.apache.parquet", ".parquet")
_TYPES.add_type("application/x-hdf5", ".h5")
_TYPES.add_type("application/x-hdf5", ".hdf5")
_TYPES.add_type("text/markdown", ".md")
_TYPES.add_type("text/plain", ".sha256sum")


@lru_cache(maxsize=1024)
def _by_extension(extension: bytes) -> str:
    kind, encoding = _TYPES.guess_type("x" + extension.decode("ascii", "replace").lower())
    return _COMPRESSED.get(encoding, _DEFAULT) if encoding else kind or _DEFAULT


def content_type(name: bytes) -> str:
    """The media type that a file name suggests. A dot at its beginning makes it hidden, and no extension."""
    dot = name.rfind(b".")
    return _by_extension(name[dot:]) if dot > 0 else _DEFAULT


def format_mtime(mtime_ns: int) -> str:
    """A time in ns since the epoch as rclone writes it: seconds with nine decimals."""
    if mtime_ns < 0:
        return "-" + format_mtime(-mtime_ns)
    digits = f"{mtime_ns:010d}"
    return f"{digits[:-9]}.{digits[-9:]}"


def properties(
    name: bytes, mtime_ns: int, nonce: str, chosen_type: str | None, metadata: Mapping[str, str], target: bytes = b""
) -> Properties:
    """What is stored beside one file, or beside the record of a symbolic link to `target`."""
    own = {**metadata, MTIME: format_mtime(mtime_ns), NONCE: nonce}  # in this order always: the wire keeps a form for it
    if target:
        own[SYMLINK_TARGET] = quote_from_bytes(target, safe=_PRINTABLE)
    return Properties(chosen_type or content_type(name), own)
