"""`asyncmirror.text` under its former name."""

from asyncmirror.text import decode, show_line, show_lines, show_name

__all__ = ["decode", "show_line", "show_lines", "show_name"]
