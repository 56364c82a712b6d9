"""What a benchmark found: figures with their spread, compared with their bars, as a table or as JSON.

Rules of this file:
1. A figure is a median and the range of its runs. A ratio is taken run by run, of what was measured side by side.
   What else is known of it (its error, what it costs) stands beside it, in columns that those rows have that know it.
2. Text goes to stdout: a table for people, or one JSON document with --json. Progress goes to stderr.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from rich.console import Console
from rich.table import Table

from scripts.benchmarks.machine import machine, versions


@dataclass(frozen=True)
class Bar:
    """What a figure is held against."""

    side: Literal["at least", "at most"]
    value: float

    def met(self, figure: float) -> bool:
        """Whether the figure is on the right side."""
        return figure >= self.value if self.side == "at least" else figure <= self.value


@dataclass(frozen=True)
class Row:
    """One figure."""

    name: str
    runs: Sequence[float]
    """The figure of each run."""
    unit: str
    bar: Bar | None = None
    note: str = ""
    beside: Mapping[str, float] = field(default_factory=dict)
    """Further numbers, by name."""

    @property
    def middle(self) -> float:
        """The median of the runs."""
        return median(self.runs)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar."""
        return None if self.bar is None else self.bar.met(self.middle)


@dataclass
class Report:
    """Everything that one benchmark found."""

    title: str
    command: str
    """What repeats it."""
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=machine)
    versions: dict[str, str] = field(default_factory=versions)

    def add(
        self,
        name: str,
        runs: Sequence[float],
        unit: str,
        bar: Bar | None = None,
        note: str = "",
        beside: Mapping[str, float] | None = None,
    ) -> None:
        """Add a figure, one number a run."""
        self.rows.append(Row(name, runs, unit, bar, note, beside or {}))

    def show(self, *, as_json: bool) -> None:
        """Print it."""
        if as_json:
            print(json.dumps(self.document(), indent=2))  # noqa: T201 - what a command finds, it prints
            return
        console = Console(width=None if sys.stdout.isatty() else 150)
        console.print(self.table())
        for note in self.notes:
            console.print(f"· {note}", highlight=False)
        for named in (self.machine, self.versions):
            console.print(", ".join(f"{name} {value}" for name, value in named.items()), highlight=False, style="dim")
        console.print(f"repeat: {self.command}", highlight=False, markup=False)

    def table(self) -> Table:
        """The figures, for people."""
        table = Table(title=self.title, title_justify="left")
        table.add_column("figure")
        spread = any(len(row.runs) > 1 for row in self.rows)
        beside = list(dict.fromkeys(name for row in self.rows for name in row.beside))
        for name in (*(("median", "least", "most") if spread else ("value",)), *beside):
            table.add_column(name, justify="right")
        for name in ("unit", "bar", ""):
            table.add_column(name)
        for row in self.rows:
            bar = "" if row.bar is None else f"{row.bar.side} {row.bar.value:g}: {'met' if row.met else 'MISSED'}"
            numbers = (row.middle, min(row.runs), max(row.runs)) if spread else (row.middle,)
            further = (digits(row.beside[name]) if name in row.beside else "" for name in beside)
            table.add_row(row.name, *map(digits, numbers), *further, row.unit, bar, row.note)
        return table

    def document(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "title": self.title,
            "command": self.command,
            "machine": self.machine,
            "versions": self.versions,
            "notes": self.notes,
            "figures": [
                {
                    "name": row.name,
                    "median": row.middle,
                    "runs": list(row.runs),
                    "unit": row.unit,
                    "bar": None if row.bar is None else {"side": row.bar.side, "value": row.bar.value, "met": row.met},
                    "note": row.note,
                    "beside": dict(row.beside),
                }
                for row in self.rows
            ],
        }


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """above / below, run by run."""
    return [a / b for a, b in zip(above, below, strict=True)]


def digits(number: float) -> str:
    """Three significant digits, or all before the point."""
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.4f}" if abs(number) < 1 else f"{number:.2f}"


def say(text: str) -> None:
    """Progress, for people."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - stdout is the report's
