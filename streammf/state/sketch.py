"""How often ids without a row were met lately, in memory that does not grow: a count-min sketch (Cormode, Muthukrishnan 2005)
that counts conservatively (Estan, Varghese 2002) and fades (Einziger, Friedman, Manes 2017).

Rules of this file:
1. An id is counted in one counter of each row of the sketch; the least of them is never less than how often it was met since
   the counters were last halved, and more only where other ids share all of its counters. Of ids met once each, one in 40
   is taken for one met twice just before a halving, one in 200 on average; what counts ahead of `most_met` stays there.
2. What is counted depends on the ids in their order alone: counting the same ids again from the same sketch gives the same.
3. After HALVED ids all counters are halved, so that ids that come once each do not fill it for good.
"""

from typing import Final

import numpy as np
from numba import types

from streammf.learning.arguments import array_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.draws import U64
from streammf.learning.options import MOST_MET
from streammf.learning.tables import SKETCH, Array

MET, COUNTED, KEYS = (array_type(dtype, 1) for dtype in ("u1", "i8", "u8"))
ROWS, WIDTH = SKETCH
#: Bits of a key that choose the counter within a row.
BITS: Final = WIDTH.bit_length() - 1
#: Half as many ids as a row has counters.
HALVED: Final = WIDTH // 2


@inner
def counter(key: U64, row: int) -> int:
    """The id's counter of this row."""
    return int(np.int64((np.uint64(key) >> np.uint64(BITS * row)) & np.uint64(WIDTH - 1))) + row * WIDTH


@inner
def meet(met: Array, counted: Array, key: U64) -> int:
    """Count an id, whose hash is `key`. Returns how often it was met lately, this time included; MOST_MET: or more often."""
    if counted[0] >= HALVED:
        for at in range(len(met)):
            met[at] = met[at] >> 1
        counted[0] = 0
    counted[0] += 1
    least = MOST_MET
    for row in range(ROWS):
        least = min(least, int(met[counter(key, row)]))
    if least < MOST_MET:
        for row in range(ROWS):
            at = counter(key, row)
            if met[at] == least:
                met[at] = least + 1
        least += 1
    return least


@kernel(types.void(MET, COUNTED, KEYS), allocates=False)
def meet_all(met: Array, counted: Array, keys: Array) -> None:
    """Count these in order."""
    for n in range(len(keys)):
        meet(met, counted, keys[n])
