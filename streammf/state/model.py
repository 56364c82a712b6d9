"""The writable model: ids, memory and kernels joined. The trainer and the library face learn through it alone.

Rules of this file:
1. All room that a batch may need is reserved before the kernel runs; a kernel never meets the end of a table.
2. Rows are given in the order of events, so the split of a log into batches shows nowhere.
3. Control events split a batch: what came before one is applied before it, what came after, after.
4. `prepare` changes the ids alone, `admit` and `apply` everything else. So one thread may prepare a batch while another
   learns from the one before, as long as batches are learned from in the order in which they were prepared, each once.
   `forget` changes ids too: nothing may be prepared that is not applied yet.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streammf.events.event import MOST_VALUE, Control
from streammf.failpoints import reach
from streammf.learning.arguments import Batch
from streammf.learning.forgetting import erase
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.rates import rates
from streammf.learning.tables import Array, Axis
from streammf.state.describing import describe
from streammf.state.ids import Ids, Registered, Texts, packed
from streammf.state.memory import Memory

#: What control events erase.
ERASES: Final = {"forget_user": Axis.USER, "delete_item": Axis.ITEM}


class Told(NamedTuple):
    """A control event, and what it is about."""

    control: Control
    row: int
    """Of the user or the item; -1 where it is erased: looked up only then, after what came before it."""


class Prepared(NamedTuple):
    """A batch whose ids have rows."""

    batch: Batch
    users: Registered
    items: Registered
    controls: Sequence[Told] = ()
    """What is to be done between its events, in order."""


class Model:
    """What learns, whatever its memory is made of."""

    def __init__(self, options: LearningOptions, memory: Memory, users: Ids, items: Ids) -> None:
        self.options = options
        self.memory = memory
        self.users = users
        self.items = items
        self._learn = learner(options)
        self._solved_decay = rates(options).solved_decay
        self._kind = {name: number for number, name in enumerate(options.types)}
        self._weights = np.array([*options.types.values()], np.float32)

    @property
    def events(self) -> int:
        """Events applied so far."""
        return int(self.memory.state.whole.events[0])

    @property
    def clock(self) -> int:
        """The event clock: the largest event time applied, ms since the epoch."""
        return int(self.memory.state.whole.clock[0])

    @property
    def value_range(self) -> tuple[float, float]:
        """The least and the greatest value that can be learned from: the scale of ratings, or any."""
        return self.options.scale if self.options.objective == "rating" else (-MOST_VALUE, MOST_VALUE)

    def learn(
        self,
        users: Sequence[str],
        items: Sequence[str],
        types: Sequence[str],
        values: NDArray[np.float32],
        times: NDArray[np.int64],
        partitions: NDArray[np.int32],
        offsets: NDArray[np.int64],
    ) -> None:
        """Apply events in order, one at a time. All columns have length n; `partitions` are rows of the table of that name.

        Raises MemoryFullError before anything is learned.
        """
        kinds = np.fromiter(map(self._kind.__getitem__, types), np.uint16, len(types))
        prepared = self.prepare(packed(users), packed(items), kinds, values, times, partitions, offsets)
        self.admit(prepared)
        self.apply(prepared)

    def prepare(
        self,
        users: Texts,
        items: Texts,
        kinds: NDArray[np.uint16],
        values: NDArray[np.float32],
        times: NDArray[np.int64],
        partitions: NDArray[np.int32],
        offsets: NDArray[np.int64],
        controls: Sequence[Control] = (),
    ) -> Prepared:
        """Give rows to the ids of a batch. `kinds` are indices into `options.types`, the rest as in `learn`.

        Who is only to be erased gets no row. Raises MemoryFullError.
        """
        of_users, told_users = _registered(self.users, users, [c for c in controls if c.kind == "user"])
        reach("ids.users")
        of_items, told_items = _registered(self.items, items, [c for c in controls if c.kind == "item"])
        reach("ids.items")
        weights = self._weights[kinds]
        if self.options.objective == "ranking":
            weights[values < self.options.positive_from] = 0.0
        rows = {"user": iter(told_users), "item": iter(told_items)}
        told = [Told(control, next(rows[control.kind]) if control.kind in rows else -1) for control in controls]
        batch = Batch(of_users.rows, of_items.rows, values, weights, times, partitions, offsets)
        return Prepared(batch, of_users, of_items, told)

    def admit(self, prepared: Prepared) -> None:
        """Make the rows that a prepared batch needs. Raises MemoryFullError."""
        memory = self.memory
        for axis, registered in ((Axis.USER, prepared.users), (Axis.ITEM, prepared.items)):
            if len(registered.keys):
                again = registered.new[registered.new < memory.counts[axis]]
                memory.add_rows(axis, registered.keys, again)
                reach("rows.added")
        memory.reserve(Axis.SEEN, int(memory.counts[Axis.SEEN]) + len(prepared.batch.user))

    def apply(self, prepared: Prepared) -> None:
        """Learn from a batch that was admitted, and do between its events what its control events say.

        All but the call is a kernel's work, which needs no interpreter.
        """
        done = 0
        for told in prepared.controls:
            if told.control.before > done:
                self._learn_from(Batch(*(column[done : told.control.before] for column in prepared.batch)))
            done = told.control.before
            self.control(told)
        self._learn_from(Batch(*(column[done:] for column in prepared.batch)) if done else prepared.batch)

    def control(self, told: Told) -> None:
        """Do what a control event says. Between two batches of events, or pieces of one."""
        if told.control.kind in {"item", "user"}:
            describe(self.memory, self.options, told.control, told.row)
        else:
            self.forget_ids(ERASES[told.control.kind], [told.control.id])

    def tell(self, controls: Sequence[Control]) -> None:
        """Do what these control events say, apart from any events. Raises MemoryFullError before anything is done."""
        nobody, none = packed([]), np.zeros(0, np.int64)
        columns = none.astype(np.uint16), none.astype(np.float32), none, none.astype(np.int32), none
        prepared = self.prepare(nobody, nobody, *columns, controls)
        self.admit(prepared)
        self.apply(prepared)

    def _learn_from(self, batch: Batch) -> None:
        memory = self.memory
        self._learn(memory.state, memory.marks, memory.counts, batch)

    def forget(self, axis: Axis, rows: Array) -> None:
        """Forget users or items: rows, all that leads to them, and ids; the rows may be given again. One sweep for all of them.

        int32 (n,), all below counts[axis]. No batch may be prepared that is not applied yet: it might name one of them.
        """
        memory = self.memory
        erase(memory.state, memory.marks, memory.counts, axis, rows, self._solved_decay)
        memory.vacate(axis, rows)
        reach("forget.erased")
        (self.users if axis == Axis.USER else self.items).forget(rows)
        reach("forget.ids")

    def forget_ids(self, axis: Axis, ids: Sequence[str]) -> int:
        """Forget those of these users or items that are known; returns how many they were. The rest as in `forget`."""
        rows = np.unique((self.users if axis == Axis.USER else self.items).rows(ids))
        rows = rows[rows >= 0]
        if len(rows):
            self.forget(axis, rows)
        return len(rows)


def _registered(ids: Ids, texts: Texts, controls: Sequence[Control]) -> tuple[Registered, list[int]]:
    """(rows of a batch's ids, rows of the controls' ids among them), given in the order of the log."""
    if not controls:
        return ids.register_texts(texts), []
    before = np.array([control.before for control in controls])
    named = packed([control.id for control in controls])
    begins = np.insert(texts.begins, before, named.begins + len(texts.text))
    stops = np.insert(texts.stops, before, named.stops + len(texts.text))
    registered = ids.register_texts(Texts(np.concatenate((texts.text, named.text)), begins, stops))
    places = before + np.arange(len(before))
    return registered._replace(rows=np.delete(registered.rows, places)), registered.rows[places].tolist()
