"""What tables are long and wide by: what their rows are, fixed numbers, and the widths that a configuration chooses."""

from enum import IntEnum
from typing import Final, NamedTuple


class Axis(IntEnum):
    """What the rows of a table are. `counts[axis]` is the number of rows in use."""

    USER = 0
    ITEM = 1
    SEEN = 2
    """Blocks of the chains of seen items; allocated by the learning kernels."""
    PARTITION = 3
    """Input partitions, in the order in which this store first met them."""
    RECENT = 4
    """A ring of fixed length."""
    MODEL = 5
    """One row."""
    ATTRIBUTE = 6
    """Values of attributes, by their hashes: a fixed number of rows."""


#: Values of attributes that one item or user may have.
ATTRIBUTED: Final = 8
#: Half-lives at which popularity is kept: minutes, hours, days, all time.
HORIZONS: Final = 4
#: What the blend weighs (features.py names them), and its rows of weights.
FEATURES: Final = 14
SEGMENTS: Final = 16
#: What the stack weighs (stack.py names them), and the predictions among which its guard chooses.
STACKED: Final = 14
PARTS: Final = 3
#: Places among which an item of a list of ratings' likeness may stand.
WAYS: Final = 8
#: Places for methods whose measures are kept (methods.py names them), measures of each, most popular items kept, and the last
#: lists of those that were measured.
METHODS: Final = 10
MEASURES: Final = 3
TOPS: Final = 128
LISTS: Final = 128
LISTED: Final = 10
#: Dimensions that may change in the life of a store. What needs them is small, and no other table refers to it.
OPTIONAL: Final = ("admission", "expiry")
#: Rows of counters in the sketch of new ids, and counters of each.
SKETCH: Final = (4, 65_536)


class Dimensions(NamedTuple):
    """The widths that a configuration chooses. Fixed for the life of a store, but for those that are OPTIONAL.

    Without the blend or the stack their columns have a few unused places a row: no column is empty.
    """

    factors: int = 32
    history: int = 32
    recent: int = 20_000
    blend: int = 0
    """1: the tables of the blend are used."""
    neighbours: int = 1
    peers: int = 1
    stack: int = 0
    """1: the tables of the stack are used."""
    attributes: int = 0
    """Rows for values of attributes."""
    admission: int = 0
    """1: new ids are counted before they get a row."""
    expiry: int = 0
    """1: who is away for long is forgotten."""

    @property
    def corated(self) -> int:
        """Places of an item's list of what was rated by the same people: whole sets."""
        return -(-self.neighbours // WAYS) * WAYS if self.stack else WAYS

    @property
    def spoken(self) -> int:
        """Width of what the history's events say: with the blend all say the same."""
        return 1 if self.blend else self.history

    @property
    def horizons(self) -> int:
        """Half-lives of popularity."""
        return HORIZONS if self.blend else 1

    @property
    def solved(self) -> int:
        """Numbers in each vector of least squares."""
        return self.factors if self.blend else 1

    @property
    def gram(self) -> int:
        """Numbers in each of its Gram matrices."""
        return self.solved**2

    @property
    def weights(self) -> int:
        """Weights of the blend."""
        return SEGMENTS * FEATURES if self.blend else 1

    @property
    def sketch(self) -> int:
        """Counters of new ids."""
        return SKETCH[0] * SKETCH[1] if self.admission else 1

    @property
    def curvature(self) -> int:
        """Pairs of features."""
        return FEATURES**2 if self.blend else 1

    def of(self, width: int | str) -> int:
        """The number that a column's width stands for."""
        return width if isinstance(width, int) else int(getattr(self, width))
