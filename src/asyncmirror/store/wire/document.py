"""The error document in an answer: a small XML reader that can't be made to do more than read.

Owns no meaning: what a code says is in `store.answers`. A document type declaration, and so every entity, is refused.
Source: Amazon S3 API Reference, "REST error responses".
"""

from typing import NamedTuple
from xml.parsers import expat

_MAX_DEPTH = 8  # an error document has two levels


class Document(NamedTuple):
    """The name of the outermost element, and the text of each element directly in it."""

    root: str
    texts: dict[str, str]


class _Reader:
    def __init__(self) -> None:
        self.path: list[str] = []
        self.root = ""
        self.texts: dict[str, str] = {}

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        self.root = self.root or local
        self.path.append(local)
        if len(self.path) > _MAX_DEPTH:
            raise ValueError("nested too deeply")

    def end(self, _name: str) -> None:
        self.path.pop()

    def text(self, data: str) -> None:
        if len(self.path) == 2:  # noqa: PLR2004  directly in the outermost element
            self.texts[self.path[1]] = self.texts.get(self.path[1], "") + data

    def doctype(self, *_: object) -> None:
        raise ValueError("a document type declaration")


def parse(body: bytes) -> Document | None:
    """Read a document; None where it is none: empty, a proxy's HTML page, cut short."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(body, True)  # noqa: FBT003  the name of the argument is `isfinal`; it is positional only
    except (expat.ExpatError, ValueError, LookupError):  # LookupError: an encoding that nobody knows
        return None
    return Document(reader.root, reader.texts)
