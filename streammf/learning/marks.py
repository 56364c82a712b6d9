"""Which rows changed since the last commit: the one place where that is written down.

Rules of this file:
1. A changed row is listed once, however often it changes.
2. `moved` adds up how strongly each step pulled the row towards its own optimum (the curvature of the step times its rate).
   Shards that exchange rows weigh each other's changes by it; here nobody knows of shards.
"""

import numpy as np

from streammf.learning.arguments import Mark, Real
from streammf.learning.compiling import inner

#: What a change without a contraction adds: more than 0, which means unchanged, and nothing beside a real contraction.
TOUCHED = np.float32(1e-20)


@inner
def mark(table: Mark, row: int, contraction: Real) -> None:
    """Note that `row` changed, by a step of this contraction (0: a change that is not a step)."""
    moved = table.moved[row]
    if moved == 0:
        table.rows[table.used[0]] = row
        table.used[0] += 1
    table.moved[row] = moved + np.float32(contraction) + TOUCHED
