"""Asking memory for the rows of the next step while this one is computed.

A step reads a user and some dozens of items, each somewhere else in memory; waited for one after another they cost more than
all the arithmetic, once the tables are larger than the caches. What is asked for in vain costs little, and changes nothing.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streammf.learning.arguments import Mark
from streammf.learning.compiling import inner
from streammf.learning.draws import below, draw
from streammf.learning.rates import Rates
from streammf.learning.tables import Array, State, Users

#: Bytes that come at once.
LINE = 64

#: numba's stubs leave these untyped.
_tools: Any = cgutils
_intrinsic: Any = intrinsic


def _prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401 - numba's own objects
    """Write llvm.prefetch of the byte `at` of row `row` of a table; arguments: table, row, at."""
    table = context.make_array(signature.args[0])(context, builder, arguments[0])
    row, at = (context.cast(builder, arguments[n], signature.args[n], types.int64) for n in (1, 2))
    byte, number = ir.IntType(8), ir.IntType(32)
    start = builder.add(builder.mul(row, _tools.unpack_tuple(builder, table.strides)[0]), at)
    place = builder.gep(builder.bitcast(table.data, byte.as_pointer()), [start], source_etype=byte)
    kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), number, number, number])
    prefetch = _tools.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(prefetch, [place, number(0), number(3), number(1)])  # to read, to keep, data
    return context.get_dummy_value()


def _typed(_: Any, table: Any, row: Any, at: Any) -> Any:  # noqa: ANN401
    return types.void(table, row, at), _prefetch


_fetch_line: Callable[[Array, int, int], None] = _intrinsic(_typed)


@inner
def fetch(table: Array, row: int) -> None:
    """Ask for a row of a table."""
    for at in range(0, table.shape[1] * table.itemsize, LINE):
        _fetch_line(table, row, at)


@inner
def fetch_line(table: Array, row: int) -> None:
    """Ask for the beginning of a row of a table."""
    _fetch_line(table, row, 0)


@inner
def fetch_place(table: Array, row: int, place: int) -> None:
    """Ask for one place of a row of a table."""
    _fetch_line(table, row, place * table.itemsize)


@inner
def fetch_item(factor: Array, marks: Mark, item: int) -> None:
    """Ask for an item's vector and its mark."""
    fetch(factor, item)
    _fetch_line(marks.moved, item, 0)


@inner
def fetch_user(users: Users, user: int) -> None:
    """Ask for what a step reads of a user, so that `fetch_history` finds it here."""
    fetch(users.history_item, user)
    fetch(users.history_value, user)
    fetch(users.history_time, user)
    fetch(users.factor, user)
    _fetch_line(users.taught, user, 0)
    _fetch_line(users.events, user, 0)
    _fetch_line(users.last_time, user, 0)
    _fetch_line(users.seen_block, user, 0)
    _fetch_line(users.seen_count, user, 0)


@inner
def fetch_history(users: Users, implicit: Array, marks: Mark, user: int) -> None:
    """Ask for what the items of a user's history say, and for their marks."""
    for place in range(users.history_item.shape[1]):
        item = users.history_item[user, place]
        if item >= 0:
            fetch_item(implicit, marks, item)


@inner
def fetch_users(state: State, rates: Rates, key: int, first: int, stride: int, following: int) -> None:
    """Ask for the users of all rehearsals, draws first, first + stride ... of `key`, and for the one who comes next, or -1."""
    ring = min(state.whole.taught[0], len(state.recent.user))
    if ring > 0:
        for r in range(rates.rehearsals):
            fetch_user(state.users, state.recent.user[below(draw(key, first + r * stride), ring)])
    if following >= 0:
        fetch_user(state.users, following)
