"""The reader of error documents: what it reads, and what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.store.wire.document import Document, parse


def test_a_document() -> None:
    body = b"""<?xml version="1.0" encoding="UTF-8"?>
    <Error xmlns="http://s3.amazonaws.com/doc"><Code>No &amp; Such</Code><A><Code>inner</Code></A><Empty/></Error>"""
    assert parse(body) == Document("Error", {"Code": "No & Such"})


def test_a_prefix_is_no_part_of_a_name() -> None:
    assert parse(b"<s3:Error xmlns:s3='x'><s3:Code>c</s3:Code></s3:Error>") == Document("Error", {"Code": "c"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<Error>",
        b"<Error><Code>x</Code></Error><Error/>",
        b"<html><br></html>",
        b"<!DOCTYPE e><Error><Code>x</Code></Error>",
        b'<!DOCTYPE e [<!ENTITY a "b">]><Error><Code>&a;</Code></Error>',
        b'<!DOCTYPE e SYSTEM "file:///etc/passwd"><Error/>',
        b"<a>" * 20 + b"</a>" * 20,
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_error_document(body: bytes) -> None:
    assert parse(body) is None


@given(st.binary(max_size=200))
def test_no_bytes_break_it(body: bytes) -> None:
    parse(body)
    parse(b"<Error>" + body + b"</Error>")
