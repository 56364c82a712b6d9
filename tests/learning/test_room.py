from itertools import pairwise

import numpy as np

from streammf.learning.room import APART, room
from streammf.learning.tables import Dimensions


def test_the_arrays_of_a_room_stand_apart_so_that_no_sum_hangs_on_where_they_are() -> None:
    arrays = room(Dimensions(factors=7, history=3))
    places = sorted((a.ctypes.data, a.ctypes.data + a.nbytes) for a in arrays)
    assert all(start - stop >= APART for (_, stop), (start, _) in pairwise(places))
    assert all(a.flags.c_contiguous and a.dtype == np.float32 for a in arrays)
