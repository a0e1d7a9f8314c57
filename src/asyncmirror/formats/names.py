"""How a name, which is bytes, stands in a JSON file of another tool, and back.

Owns the one rule: UTF-8 with undecodable bytes as U+DC80 to U+DCFF (PEP 383), which is what Python's `os` and `json` make of
names together, and so what tools in Python read and write. Knows no file.
"""

import json


def to_json(name: bytes) -> bytes:
    """A JSON string in ASCII, with its quotes."""
    return json.dumps(name.decode("utf-8", "surrogateescape")).encode("ascii")


def from_text(text: str) -> bytes:
    """The bytes that a string in JSON stands for.

    Raises:
        ValueError: It stands for none: it has a lone surrogate that no byte becomes, or a NUL.
    """
    if "\0" in text:
        raise ValueError("a NUL in a name")
    return text.encode("utf-8", "surrogateescape")
