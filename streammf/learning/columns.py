"""What a column of a table is, and how one is declared."""

from typing import Any, NamedTuple

from streammf.learning.dimensions import Axis, Dimensions


class Column(NamedTuple):
    """One column: type, width (a number, or the name of a dimension), first value, and what it means."""

    dtype: str
    width: int | str
    scale: float
    """Standard deviation of the normal first value, a function of (seed, id, column, position); 0: the constant `fill`."""
    fill: float
    merge: str
    """How two shards' changes combine: `owned` (one shard's row), `sum` (add the changes), `last` (by time), `local`."""
    meaning: str
    refers: Axis | None = None
    """It holds row numbers of this axis, -1 for none; forgetting a row takes its number out of them all."""
    least: int = 0
    """Whole numbers: the least that learning writes, where it is none of these and no time."""

    def shape(self, rows: int, dimensions: Dimensions) -> tuple[int, ...]:
        """A column declared with width 1 is one-dimensional, any other is (rows, width)."""
        return (rows,) if self.width == 1 else (rows, dimensions.of(self.width))


def column(
    dtype: str, meaning: str, width: int | str = 1, *, scale: float = 0.0, fill: float = 0.0, merge: str = "owned",
    refers: Axis | None = None, least: int = 0,
) -> Any:  # fmt: skip  # noqa: ANN401 - the default of a field whose instances hold an array
    """Declare a column; see Column."""
    return Column(dtype, width, scale, fill, merge, meaning, refers, least)
