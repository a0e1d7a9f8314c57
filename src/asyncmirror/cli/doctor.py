"""`asyncmirror doctor`: looks at machine, credentials, store and file systems, and says what a sync would meet.

Owns what the arguments mean, and the three forms: a table on a terminal, plain lines elsewhere, one JSON object. The object's
keys are kept: other programs read them. What is looked at is `asyncmirror.doctor`'s.
"""

import io
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import uvloop

from asyncmirror.cli import paths, stdout
from asyncmirror.cli.gather import Gathered
from asyncmirror.cli.json_lines import dump
from asyncmirror.cli.logs import Redactor
from asyncmirror.doctor.examine import examine
from asyncmirror.doctor.finding import Finding, Level, exit_code
from asyncmirror.doctor.question import Question
from asyncmirror.errors import UsageError
from asyncmirror.settings import Connection, Destination, ObjectOptions, Tuning
from asyncmirror.text import counted, show_line

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}
_NARROWEST = 40


def run(gathered: Gathered, arguments: Sequence[str], redact: Redactor) -> int:
    """Look, write what was found, and give the exit code.

    Raises:
        UsageError: The arguments can't be meant so.
    """
    asked = question(gathered, arguments)
    found = [_redacted(finding, redact) for finding in uvloop.run(examine(asked))]
    output = gathered.output()
    if output.json:
        text = dump({"exit_code": exit_code(found), "findings": [_to_json(finding) for finding in found]})
    elif output.quiet:
        text = "".join(line + "\n" for line in lines(each for each in found if each.level is Level.PROBLEM)).encode("utf-8")
    elif sys.stdout.isatty():
        text = table(found, shutil.get_terminal_size().columns).encode("utf-8")
    else:
        text = "".join(line + "\n" for line in (*lines(found), verdict(found))).encode("utf-8")
    return exit_code(found) if stdout.write(text) else stdout.LOST


def question(gathered: Gathered, arguments: Sequence[str]) -> Question:
    """What is asked: the destination is the argument that is an S3 URL, the source the other.

    Raises:
        UsageError: There are two of a kind.
    """
    urls = [argument for argument in arguments if argument.startswith("s3://")]
    names = [argument for argument in arguments if not argument.startswith("s3://")]
    if len(urls) > 1 or len(names) > 1:
        raise UsageError("at most one s3://BUCKET[/PREFIX] and one SOURCE can be looked at")
    given = gathered.sections
    journal = given.get("settings", {}).get("journal")
    connection = given.get("connection", {})
    flags = {name: gathered.variables.get(name, f"--{name}") for name in ("region", "endpoint-url")}
    return Question(
        destination=Destination.parse(urls[0]) if urls else None,
        source=paths.source(names[0]) if names else None,
        connection=gathered.fill(Connection(), "connection") if connection else Connection(),
        objects=gathered.fill(ObjectOptions(), "objects"),
        tuning=gathered.fill(Tuning(), "tuning"),
        journal=journal if isinstance(journal, Path) else None,
        write=bool(given.get("doctor", {}).get("write", True)),
        flags=flags,
    )


def lines(found: Iterable[Finding]) -> Iterable[str]:
    """The plain form, a line each."""
    for finding in found:
        remedy = f" ({finding.remedy})" if finding.remedy else ""
        yield show_line(f"{finding.level.value:<8} {finding.topic}: {finding.found}{remedy}")


def verdict(found: Sequence[Finding]) -> str:
    """What all of it comes to, in one line."""
    counts = Counter(finding.level for finding in found)
    told = [_count(counts[level], level.value) for level in (Level.PROBLEM, Level.WARNING)]
    return f"{_count(len(found), 'thing')} looked at: {', '.join(told)}"


def _count(number: int, what: str) -> str:
    return counted(number, what) if number else f"no {what}s"


def table(found: Sequence[Finding], width: int) -> str:
    """The form for a terminal of so many columns."""
    from rich.console import Console  # noqa: PLC0415  takes a tenth of a second to import
    from rich.table import Table  # noqa: PLC0415  the same
    from rich.text import Text  # noqa: PLC0415  the same

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=7)
    grid.add_column(max_width=16)
    grid.add_column(ratio=1)
    for finding in found:
        text = Text(show_line(finding.found), overflow="fold")  # a path is of no use without its end
        if finding.remedy:
            text.append(f"\n→ {show_line(finding.remedy)}", style="cyan")
        grid.add_row(Text(finding.level.value, style=_STYLES[finding.level]), Text(finding.topic, style="bold"), text)
    console = Console(file=io.StringIO(), force_terminal=True, width=max(width, _NARROWEST), color_system="standard")
    with console.capture() as captured:
        console.print(grid)
        console.print(Text(verdict(found), style="bold"))
    return captured.get()


def _to_json(finding: Finding) -> dict[str, str]:
    return {"topic": finding.topic, "level": finding.level.value, "found": finding.found, "remedy": finding.remedy}


def _redacted(finding: Finding, redact: Redactor) -> Finding:
    """The same without a credential in it, whatever a store may have answered."""
    return finding._replace(found=redact(finding.found), remedy=redact(finding.remedy))
