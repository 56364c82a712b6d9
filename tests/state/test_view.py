"""A view: rows and ids as a query asks for them."""

import numpy as np

from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.header import Header
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.options import Limits
from streammf.state.view import View

OPTIONS = LearningOptions(factors=4, history=2, recent=10)


def test_a_view_answers_for_the_rows_that_its_header_counts() -> None:
    memory = Memory.anonymous(OPTIONS.dimensions, OPTIONS.seed, limits=Limits(100, 100))
    users, items = (Ids.anonymous(OPTIONS.seed, 100, "") for _ in range(2))
    memory.add_rows(Axis.USER, users.register(["ann", "bob"])[1])
    memory.add_rows(Axis.ITEM, items.register(["tea", "café", "milk"])[1])
    header = Header(status="learning", counts=memory.counts.tolist(), user_level=users.level, item_level=items.level)
    view = View(header, OPTIONS, memory.state, users, items)
    users.register(["cleo"])
    items.register(["ale"])
    assert [view.user_row(user) for user in ("bob", "tea", "cleo", "")] == [1, -1, -1, -1]
    assert [view.item_row(item) for item in ("milk", "bob", "ale")] == [2, -1, -1]
    assert view.item_rows(["café", "ale", "tea"]).tolist() == [1, -1, 0]
    assert view.item_names(np.array([2, 1], np.int32)) == ["milk", "café"]
    assert view.counts[Axis.ITEM] == 3
