r"""How names and messages are shown to people: escaped, so that none can move the cursor, reorder a line or forge one.

Owns the escape, and the plural of what is counted. A name is bytes. What is printable stands as it is; every other character
becomes ``\xNN`` (an ASCII control, or a byte that is no UTF-8), ``\uNNNN`` or ``\UNNNNNNNN``; a backslash in a name is doubled,
so that no two names look alike.
"Printable" is `str.isprintable`: it leaves out controls, format characters (bidirectional overrides, zero-width ones),
line and paragraph separators, spaces other than U+0020, surrogates, private and unassigned code points. Knows no terminal.
"""

_SURROGATE_ESCAPES = range(0xDC80, 0xDD00)
_BMP_END = 0x10000
_ASCII_END = 0x80


def decode(name: bytes) -> str:
    """A name as text that encodes back to it: UTF-8, with undecodable bytes as U+DC80 to U+DCFF (PEP 383)."""
    return name.decode("utf-8", "surrogateescape")


def show_name(name: bytes) -> str:
    """A file's name or path in one line; distinct names are shown differently."""
    return show_line(decode(name).replace("\\", "\\\\"))


def show_line(text: str) -> str:
    """A message in one line. Backslashes stay as they are: a message may quote what has been escaped before."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(ord(character)) for character in text)


def show_lines(text: str) -> str:
    """A text of several lines, such as a traceback: only its newlines stay."""
    return "\n".join(show_line(line) for line in text.split("\n"))


def counted(number: int, one: str, many: str = "") -> str:
    """So many of something: ``1 file``, ``2,000 files``. `many` where an s at the end is not all."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _escape(code: int) -> str:
    if code in _SURROGATE_ESCAPES:
        return f"\\x{code - 0xDC00:02x}"
    if code < _ASCII_END:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _BMP_END else f"\\U{code:08x}"
