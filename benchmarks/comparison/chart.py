"""The chart that the README shows: a panel per row, a bar per client, as an SVG that is at home on a light and a dark page.

Owns layout and colours. Of a client that ran with several settings, the best one stands for it, and is named.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from comparison.report import rate

_PANELS = (
    ("small-plain", "Small files", "4 KiB each, plain HTTP"),
    ("small-tls", "Small files, TLS", "4 KiB each"),
    ("small-latency", "Small files, distant store", "4 KiB each, answers 50 ms late"),
    ("mix-plain", "A mix as in DESI", "log-normal from 1 KiB to 64 MiB"),
    ("large-plain", "Large files", "256 MiB each, plain HTTP"),
    ("noop-listing", "Nothing to do", "all files are in the bucket already"),
)
_CLIENTS = ("asyncmirror", "s5cmd", "rclone", "aws-cli", "boto3")
_KIND = {"64": "64 workers", "256": "256 workers"}
_WIDTH, _COLUMNS, _GAP, _MARGIN = 840, 2, 40, 8
_LABELS, _VALUES = 148, 78
_BAR, _PITCH, _HEAD, _BETWEEN = 14, 21, 46, 22
_STYLE = """
  text { font: 12px -apple-system, BlinkMacSystemFont, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-size: 14px; font-weight: 600; }
  .note { font-size: 11px; fill: #59636e; }
  .peer { fill: #b6bfc8; }
  .ours { fill: #0969da; }
  .bold { font-weight: 600; }
  .axis { stroke: #d1d9e0; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .peer { fill: #545d68; }
    .ours { fill: #4493f8; }
    .axis { stroke: #3d444d; }
  }
"""


class _Bar(NamedTuple):
    label: str
    value: float
    ours: bool


def svg(document: Mapping[str, Any]) -> str:
    """The chart, of the rows that were measured."""
    rows: Mapping[str, Any] = document["rows"]
    panels = [(rows[name], title, note) for name, title, note in _PANELS if name in rows]
    height, most = _MARGIN, 0
    body: list[str] = []
    for number, (row, title, note) in enumerate(panels):
        column = number % _COLUMNS
        if not column:
            height, most = height + most, 0
        bars = list(_bars(row))
        wide = (_WIDTH - 2 * _MARGIN - _GAP * (_COLUMNS - 1)) / _COLUMNS
        body += _panel(_MARGIN + column * (wide + _GAP), height, wide, title, f"{_unit(row)} – {note}", bars, row["unit"])
        most = max(most, _HEAD + len(bars) * _PITCH + _BETWEEN)
    height += most
    for line in _notes([row for row, _, _ in panels]):
        body.append(f'<text class="note" x="{_MARGIN}" y="{height}">{escape(line)}</text>')
        height += 16
    name = "asyncmirror against s5cmd, rclone, aws-cli and boto3"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f' aria-label="{name}">\n<title>{name}</title>\n<style>{_STYLE}</style>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "Longer is better. Whole processes, start-up included; medians of turns in one run; one core for each client."
    entries = [(row["entries"][0], entry) for row in rows for entry in row["entries"]]
    less = {entry["client"].partition(",")[0] for first, entry in entries if entry["objects"] < first["objects"]}
    if less:
        yield f"Given fewer files, so as not to take minutes: {', '.join(sorted(less))}. All figures: benchmarks/RESULTS.md"


def _unit(row: Mapping[str, Any]) -> str:
    if row["unit"] == "bytes":
        return "GiB/s"
    return "files checked/s" if row["name"].startswith("noop") else "files/s"


def _bars(row: Mapping[str, Any]) -> Iterator[_Bar]:
    """The best of each client, in a fixed order."""
    for client in _CLIENTS:
        found = [
            (value, entry["client"].partition(", ")[2])
            for entry in row["entries"]
            if entry["client"].partition(",")[0] == client and (value := rate(row, entry))
        ]
        if found:
            value, kind = max(found)
            ours = client == "asyncmirror"
            detail = kind if ours and kind else _KIND.get(kind, "")
            yield _Bar(f"{client}, {detail}" if detail else client, value, ours)


def _panel(left: float, top: float, wide: float, title: str, note: str, bars: list[_Bar], unit: str) -> Iterator[str]:
    yield f'<text class="title" x="{left:.0f}" y="{top + 14:.0f}">{escape(title)}</text>'
    yield f'<text class="note" x="{left:.0f}" y="{top + 31:.0f}">{escape(note)}</text>'
    zero, room = left + _LABELS, wide - _LABELS - _VALUES
    longest = max((bar.value for bar in bars), default=1.0)
    first = top + _HEAD
    for number, bar in enumerate(bars):
        y, length = first + number * _PITCH, max(1.0, bar.value / longest * room)
        bold = ' class="bold"' if bar.ours else ""
        shown = f"{bar.value:.2f}" if unit == "bytes" else f"{bar.value:,.0f}"
        text = y + _BAR - 3
        yield f'<text{bold} x="{zero - 8:.0f}" y="{text:.0f}" text-anchor="end">{escape(bar.label)}</text>'
        kind = "ours" if bar.ours else "peer"
        yield f'<rect class="{kind}" x="{zero:.0f}" y="{y:.0f}" width="{length:.1f}" height="{_BAR}" rx="2"/>'
        yield f'<text{bold} x="{zero + length + 6:.0f}" y="{text:.0f}">{shown}</text>'
    bottom = first + len(bars) * _PITCH - (_PITCH - _BAR) + 3
    yield f'<line class="axis" x1="{zero - 0.5:.1f}" y1="{first - 3:.0f}" x2="{zero - 0.5:.1f}" y2="{bottom:.0f}"/>'
