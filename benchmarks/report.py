"""The table of the figures, with their limits."""

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """A figure compared with another.

    Attributes:
        what: the measurement.
        unit: the unit of both figures.
        ours: our figure.
        beside: the name of the other figure.
        other: the other figure.
        limit: the highest ratio allowed; None for no limit.
        of_pairs: the median of the ratios of pairs, if both figures were measured in pairs.
    """

    what: str
    unit: str
    ours: float
    beside: str
    other: float
    limit: float | None = None
    of_pairs: float | None = None

    @property
    def ratio(self) -> float:
        """The ratio of our figure to the other."""
        return self.of_pairs or self.ours / self.other

    @property
    def is_kept(self) -> bool:
        """Whether the ratio is within the limit."""
        return self.limit is None or self.ratio <= self.limit


def print_table(rows: list[Row], notes: list[str]) -> None:
    """Print the rows, and notes on the measurements below them."""
    table = Table(title="Run Recorder, compared with bare boto3 and with a handler built from the tutorials")
    for column in ("what", "ours", "beside", "ratio", "limit", ""):
        table.add_column(column, justify="right" if column in {"ours", "ratio", "limit"} else "left")
    for row in rows:
        limit, verdict = "", ""
        if row.limit is not None:
            limit, verdict = f"{row.limit:.2f}", "[green]ok" if row.is_kept else "[bold red]over"
        ours, other = (f"{value:.1f} {row.unit}" for value in (row.ours, row.other))
        table.add_row(row.what, ours, f"{row.beside}: {other}", f"{row.ratio:.2f}", limit, verdict)
    console = Console()
    console.print(table)
    for note in notes:
        console.print(f"- {note}", highlight=False)


def to_json(rows: list[Row], notes: list[str]) -> dict[str, Any]:
    """Return the table as JSON."""
    return {"rows": [asdict(row) | {"ratio": row.ratio, "kept": row.is_kept} for row in rows], "notes": notes}
