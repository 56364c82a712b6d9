"""The writable model: ids, memory and kernels joined. The trainer and the library face learn through it alone.

Rules of this file:
1. All room that a batch may need is reserved before the kernel runs; a kernel never meets the end of a table.
2. Rows are given in the order of events, so the split of a log into batches shows nowhere.
3. Control events split a batch: what came before one is applied before it, what came after, after.
4. `prepare` changes the ids alone, and backs memory for the rows that new ones get; `admit` and `apply` change everything else.
   So one thread may prepare a batch while another learns from the one before, as long as batches are learned from in the order
   in which they were prepared, each once. `forget` changes ids too: nothing may be prepared that is not applied yet.
5. Who is away for long is forgotten at points between events. A batch that comes to one is prepared up to there; `apply`, which
   forgets, prepares the rest, and no other batch may be prepared before that.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streammf.events.event import MOST_VALUE, Control, moved
from streammf.failpoints import reach
from streammf.learning.arguments import Batch
from streammf.learning.forgetting import erase
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.rates import rates
from streammf.learning.tables import Array, Axis
from streammf.state.admission import Admission
from streammf.state.describing import describe
from streammf.state.expiry import Expiry
from streammf.state.ids import Ids, Registered, Texts, packed
from streammf.state.memory import Memory
from streammf.state.prepared import Columns, Prepared, Told
from streammf.state.sketch import meet_all

#: What control events erase.
ERASES: Final = {"forget_user": Axis.USER, "delete_item": Axis.ITEM}


class Model:
    """What learns, whatever its memory is made of."""

    def __init__(self, options: LearningOptions, memory: Memory, users: Ids, items: Ids) -> None:
        self.options = options
        self.memory = memory
        self.users = users
        self.items = items
        self.refused = 0
        """Events refused so far; see admission.py. Whoever recovers a model sets it."""
        self._admission = Admission.of(options, users, items)
        self._expiry = Expiry(options) if options.expires else None
        self._prepared: int | None = None
        """Events prepared so far, refused ones included; None: as many as were applied and refused."""
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
        columns = Columns(users, items, kinds, values, times, partitions, offsets, controls)
        if self._expiry is None:
            return self._with_rows(columns)
        return self._up_to_the_next_point(columns, self._expiry)

    def _up_to_the_next_point(self, columns: Columns, expiry: Expiry) -> Prepared:
        before = self.events + self.refused if self._prepared is None else self._prepared
        until = expiry.until(before)
        if columns.events < until:
            prepared = self._with_rows(columns)
            self._prepared = before + columns.events
            return prepared
        alone = columns.events == until and not any(control.before == until for control in columns.controls)
        prepared = self._with_rows(columns if alone else columns.before(until))
        self._prepared = before + until
        return prepared._replace(forgets=True, rest=None if alone else columns.behind(until))

    def _with_rows(self, columns: Columns) -> Prepared:
        weights = self._weights[columns.kinds]
        if self.options.objective == "ranking":
            weights[columns.values < self.options.positive_from] = 0.0
        numbers = columns.values, weights, columns.times, columns.partitions, columns.offsets
        if self._admission is not None:
            return self._admitted(columns, self._admission, numbers)
        controls = columns.controls
        users, told_users = _registered(self.users, columns.users, [c for c in controls if c.kind == "user"])
        reach("ids.users")
        items, told_items = _registered(self.items, columns.items, [c for c in controls if c.kind == "item"])
        reach("ids.items")
        rows = {"user": iter(told_users), "item": iter(told_items)}
        told = [Told(control, next(rows[control.kind]) if control.kind in rows else -1) for control in controls]
        return self._backed(Prepared(Batch(users.rows, items.rows, *numbers), users, items, told))

    def _admitted(self, columns: Columns, admission: Admission, numbers: tuple[Array, ...]) -> Prepared:
        speaking = [control for control in columns.controls if control.kind in {"user", "item"}]
        found = admission.admit(columns.users, columns.items, self.memory.state.newcomers, speaking)
        reach("ids.users")
        both = zip(speaking, *found.told, strict=True)
        rows = iter([user if control.kind == "user" else item for control, user, item in both])
        told = [Told(control, next(rows) if control.kind in {"user", "item"} else -1) for control in columns.controls]
        batch = Batch(found.users.rows, found.items.rows, *numbers)
        prepared = self._backed(Prepared(batch, found.users, found.items, told, met=found.met))
        if found.kept.all():
            return prepared
        return prepared._replace(
            batch=Batch(*(column[found.kept] for column in batch)),
            controls=[Told(c, one.row) for one, c in zip(told, moved(columns.controls, found.kept), strict=True)],
            kept=found.kept,
            refused=columns.times[~found.kept],
        )

    def _backed(self, prepared: Prepared) -> Prepared:
        """The same: there is memory for its new rows now, which `admit` need not wait for."""
        for axis, registered in ((Axis.USER, prepared.users), (Axis.ITEM, prepared.items)):
            if len(registered.new):
                self.memory.reserve(axis, int(registered.new.max()) + 1)
        return prepared

    def admit(self, prepared: Prepared) -> None:
        """Count the rows that a prepared batch needs, and give them their first values. Raises MemoryFullError."""
        memory = self.memory
        for axis, registered in ((Axis.USER, prepared.users), (Axis.ITEM, prepared.items)):
            if len(registered.keys):
                again = registered.new[registered.new < memory.counts[axis]]
                memory.add_rows(axis, registered.keys, again)
                reach("rows.added")
        memory.reserve(Axis.SEEN, int(memory.counts[Axis.SEEN]) + len(prepared.batch.user))
        if len(prepared.met):
            newcomers = memory.state.newcomers
            meet_all(newcomers.met[0], newcomers.counted, prepared.met)
        self.refused += len(prepared.refused)
        if self._expiry is not None:
            self._expiry.refused(memory.state, prepared.refused)

    def apply(self, prepared: Prepared) -> list[Prepared]:
        """Learn from a batch that was admitted, and do between its events what its control events say.

        All but the calls is a kernel's work, which needs no interpreter. Returns the parts that it had: more than one where
        somebody was to be forgotten in between. Raises MemoryFullError.
        """
        parts = [prepared]
        while True:
            self._apply(parts[-1])
            if parts[-1].forgets:
                parts[-1] = parts[-1]._replace(gone=self.forget_away())
            if (rest := parts[-1].rest) is None:
                return parts
            parts.append(self.prepare(*rest))
            self.admit(parts[-1])

    def _apply(self, prepared: Prepared) -> None:
        done = 0
        for told in prepared.controls:
            if told.control.before > done:
                self._learn_from(Batch(*(column[done : told.control.before] for column in prepared.batch)))
            done = told.control.before
            self.control(told)
        self._learn_from(Batch(*(column[done:] for column in prepared.batch)) if done else prepared.batch)

    def control(self, told: Told) -> None:
        """Do what a control event says. Between two batches of events, or pieces of one."""
        if told.control.kind in ERASES:
            self.forget_ids(ERASES[told.control.kind], [told.control.id])
        elif told.row >= 0:
            describe(self.memory, self.options, told.control, told.row)

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

    def forget_away(self) -> tuple[int, int]:
        """Forget who has been away for long; returns how many users and items that were."""
        gone = [0, 0]
        if self._expiry is not None:
            for axis in (Axis.USER, Axis.ITEM):
                rows = self._expiry.away(self.memory.state, self.memory.counts, axis)
                gone[axis] = len(rows)
                if len(rows):
                    self.forget(axis, rows)
        return gone[Axis.USER], gone[Axis.ITEM]

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
    """(a batch's ids, with rows; the rows of the controls' ids among them), registered in the order of the log."""
    if not controls:
        return ids.register_texts(texts), []
    before = np.array([control.before for control in controls])
    named = packed([control.id for control in controls])
    begins = np.insert(texts.begins, before, named.begins + len(texts.text))
    stops = np.insert(texts.stops, before, named.stops + len(texts.text))
    found = ids.register_texts(Texts(np.concatenate((texts.text, named.text)), begins, stops))
    places = before + np.arange(len(before))
    return found._replace(rows=np.delete(found.rows, places)), found.rows[places].tolist()
