"""The pictures in ``docs/pictures``, drawn from the template and from a real run."""

import io
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from local import show, story
from local.template import translate

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"

# A dashboard's grid has 24 columns.
_COLUMNS, _COLUMN, _ROW = 24, 42, 27
# The colours of the lines that have no colour in the template.
_COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b"]

_TERMINAL_WIDTH = 112


def load_dashboard() -> dict[str, Any]:
    """Return the dashboard of the template; names that CloudFormation generates stay placeholders."""
    template = translate({})
    values = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    values["Table"] = "RunsTable"
    text, _ = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    dashboard: dict[str, Any] = json.loads(re.sub(r"\$\{(.+?)\}", lambda name: str(values.get(name[1], name[1])), text))
    return dashboard


def draw_dashboard(dashboard: dict[str, Any]) -> str:
    """Return the layout of a dashboard as SVG: each widget in its place, with its title and its content."""
    widgets = dashboard["widgets"]
    width = _COLUMNS * _COLUMN
    height = max(widget["y"] + widget["height"] for widget in widgets) * _ROW
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' font-family="Helvetica, Arial, sans-serif" font-size="12">',
            _box(0, 0, width, height, "#f2f3f3"),
            *(line for widget in widgets for line in _draw_widget(widget)),
            "</svg>\n",
        ]
    )


def draw_terminal() -> str:
    """Return the output of ``make run`` as SVG, with fixed times and ids, so that each drawing is the same."""
    screen = _make_console()
    shown, show.console = show.console, screen
    started = datetime.now(UTC).replace(microsecond=0)
    try:
        story.run()
    finally:
        show.console = shown
    lines = ["$ make run", *screen.export_text(styles=True).splitlines()]
    window = _make_console()
    window.print(Text.from_ansi(_settle("\n".join(lines), started)))
    svg = window.export_svg(title="make run", unique_id="run")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # no fonts from other sites


def _make_console() -> Console:
    return Console(
        record=True,
        file=io.StringIO(),
        width=_TERMINAL_WIDTH,
        color_system="truecolor",
        force_terminal=True,
        no_color=False,
        highlight=False,
    )


def _settle(text: str, started: datetime) -> str:
    """Replace version ids, and the times since ``started``, by fixed ones in the same order."""
    versions = dict.fromkeys(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text))
    for rank, version in enumerate(versions):
        text = text.replace(version, f"7f1c9a52-3b0e-4d6f-9c21-{rank:012}")
    times = {time: datetime.fromisoformat(time) for time in re.findall(r"\d{4}-\d\d-\d\dT[\d:.]+Z", text)}
    recent = {time for time, value in times.items() if started <= value <= datetime.now(UTC)}
    for rank, time in enumerate(sorted(recent, key=times.__getitem__)):
        settled = f"2026-11-20T08:30:{rank:02}"
        text = text.replace(time, f"{settled}.000000Z" if "." in time else f"{settled}Z")
    return text


def _draw_widget(widget: dict[str, Any]) -> Iterator[str]:
    properties = widget["properties"]
    x, y = widget["x"] * _COLUMN + 3, widget["y"] * _ROW + 3
    width, height = widget["width"] * _COLUMN - 6, widget["height"] * _ROW - 6
    yield _box(x, y, width, height, "#ffffff", "#d5dbdb")
    yield _text(x + 12, y + 20, properties["title"], size=13, weight="bold")
    inner = (x + 12, y + 30, width - 24, height - 36)
    if widget["type"] == "alarm":
        yield from _draw_alarms([alarm.removesuffix(".Arn") for alarm in properties["alarms"]], *inner)
    elif properties["view"] == "table":
        yield from _draw_table(properties["query"], *inner)
    else:
        yield from _draw_graph(properties, *inner)


def _draw_alarms(names: list[str], x: int, y: int, width: int, height: int) -> Iterator[str]:
    rows = 2
    columns = -(-len(names) // rows)
    for index, name in enumerate(names):
        left, top = x + index % columns * width // columns, y + index // columns * height // rows
        yield _box(left, top, width // columns - 6, height // rows - 3, "#eaf6ed", "#2ca02c")
        yield _text(left + 8, top + 14, name, size=11)


def _draw_table(query: str, x: int, y: int, width: int, height: int) -> Iterator[str]:
    *_, by = re.split(r" by | \| fields ", re.split(r" \| (?:sort|limit) ", query)[0])
    columns = [*by.split(", "), *re.findall(r" as (\w+)", query)]
    yield _box(x, y, width, 20, "#eaeded")
    for index, column in enumerate(columns):
        yield _text(x + 6 + index * width // len(columns), y + 14, column, size=11)
    for line in range(y + 40, y + height, 20):
        yield _line(x, line, width)


def _draw_graph(properties: dict[str, Any], x: int, y: int, width: int, height: int) -> Iterator[str]:
    lines = _name_lines(properties)
    columns = 2 if width < 400 else len(lines)
    bottom = y + height - 4 - 16 * -(-len(lines) // columns)
    for line in range(bottom, y, -22):
        yield _line(x, line, width)
    for limit in properties.get("annotations", {}).get("horizontal", []):
        yield _line(x, y + 12, width, "#d62728", dashes="5 3")
        yield _text(x + width, y + 8, f"{limit['label']}: {limit['value']}", size=10, anchor="end")
    for index, (label, colour) in enumerate(lines):
        left, top = x + index % columns * width // columns, bottom + 14 + 16 * (index // columns)
        yield _box(left, top - 8, 10, 8, colour)
        yield _text(left + 15, top, label, size=11)


def _name_lines(properties: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the label and the colour of each line of a graph."""
    if "query" in properties:
        labels = re.findall(r" as (\w+)", properties["query"])
        return list(zip(labels, _COLOURS, strict=False))
    options = [metric[-1] for metric in properties["metrics"] if metric[-1].get("visible", True)]
    return [(option["label"], option.get("color", colour)) for option, colour in zip(options, _COLOURS, strict=False)]


def _box(x: int, y: int, width: int, height: int, fill: str, stroke: str = "none") -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="{fill}" stroke="{stroke}"/>'


def _line(x: int, y: int, width: int, stroke: str = "#e5e8e8", dashes: str = "none") -> str:
    return f'<path d="M{x} {y}h{width}" stroke="{stroke}" stroke-dasharray="{dashes}"/>'


def _text(x: int, y: int, text: str, size: int, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def main(folder: Path = PICTURES) -> None:
    """Draw all pictures into a folder."""
    (folder / "dashboard.svg").write_text(draw_dashboard(load_dashboard()))
    (folder / "run.svg").write_text(draw_terminal())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
