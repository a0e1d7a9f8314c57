"""`asyncmirror gc`: unfinished uploads below a prefix, a line each, and what became of them.

Owns both forms and the exit code. Whose an upload is, `audit.leftovers` tells.
"""

import contextlib
import time

import uvloop

from asyncmirror.audit.leftovers import Leftover, Whose, collect
from asyncmirror.cli import stdout
from asyncmirror.cli.gather import Gathered, Output
from asyncmirror.cli.json_lines import dump
from asyncmirror.cli.verify import asked as verification
from asyncmirror.journal.belongs import Belongs
from asyncmirror.settings import Collection
from asyncmirror.store.configured import configured_endpoint
from asyncmirror.text import show_line, show_name


def asked(gathered: Gathered, destination: str, source: str | None) -> Collection:
    """What is asked for.

    Raises:
        UsageError: It can't be meant so, or it is not told which journal is meant.
    """
    of = verification(gathered, destination, source)
    collection = Collection(of.destination, of.journal, of.connection, of.objects, of.tuning)
    return gathered.fill(collection, "collection")


def run(asked: Collection, output: Output) -> int:
    """Look, and give the exit code.

    Raises:
        AsyncmirrorError: It could not begin, or could not go on.
    """
    of = Belongs("", str(asked.destination), configured_endpoint(asked.connection))
    return uvloop.run(_run(asked, of, output))


async def _run(asked: Collection, of: Belongs, output: Output) -> int:
    orphans = 0
    async with contextlib.aclosing(collect(asked, of)) as found:
        async for leftover in found:
            orphans += leftover.whose is Whose.ORPHAN and not leftover.aborted
            if not stdout.write(dump(to_json(leftover)) if output.json else line(leftover).encode("utf-8") + b"\n"):
                return stdout.LOST
    if orphans and not output.json and not stdout.write(b"gc --abort ends the orphans\n"):
        return stdout.LOST
    return 0


def line(leftover: Leftover) -> str:
    """One upload, for people."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(leftover.upload.initiated))
    what = "orphan, aborted" if leftover.aborted else leftover.whose.value
    name = show_name(leftover.upload.key.encode("utf-8", "surrogateescape"))
    return f"{what}: {name}: begun {since}, id {show_line(leftover.upload.upload_id)}"


def to_json(leftover: Leftover) -> dict[str, object]:
    """One upload, for programs."""
    key, upload_id, initiated = leftover.upload
    told = {"whose": leftover.whose.value, "key": key, "upload_id": upload_id, "initiated": initiated}
    return {"event": "upload", **told, "aborted": leftover.aborted}
