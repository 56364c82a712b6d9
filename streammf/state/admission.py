"""Which events bring a new user or item, and which are refused instead: caps, and a number of times to be met first.

Rules of this file:
1. What is decided depends on the events in their order alone, not on batches, commits or restarts. Whoever has a row is known;
   an event of known ones is never refused.
2. An event gives rows to all that it names, or is refused and gives none. A refused event teaches nothing: of it only the
   sketch keeps something, that its new ids were met.
3. A control event that says something of a new user or item gives it a row where the cap has room: whoever is spoken of need
   not be met first. Beyond the cap it is about nobody.
4. Ids are registered ahead of what is learned, and so is the sketch that decides: this one. The one that is stored, the table
   `newcomers`, follows when a batch is learned from (`meet_all` of `Admitted.met`). So a commit holds what its batches counted.
5. With neither a cap nor a threshold nobody comes here.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numba import types
from numpy.typing import NDArray

from streammf.errors import ConfigurationError
from streammf.events.event import Control
from streammf.learning.compiling import inner, kernel
from streammf.learning.draws import hash_bytes, mix
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array, Axis, Newcomers
from streammf.state.ids import Ids, Registered, Room, Texts, check_lengths, packed
from streammf.state.options import SETTINGS
from streammf.state.sketch import COUNTED, KEYS, MET, meet
from streammf.state.slots import HEAP, PLACES, R_HEAP, R_PLACES, R_ROWS, ROWS, SLOTS, find, insert

AXES: Final = (Axis.USER, Axis.ITEM)
#: The numbers of one axis that the kernel reads and changes: its level, used bytes of the heap, seed, rows, ids that got rows.
LEVEL, END, SEED, COUNT, NEW = range(5)
#: In the place of a row: an id without letters, where a control event names only the other side.
NOBODY: Final = np.int64(2**31 - 1)
NUMBERS: Final = types.Array(types.int64, 1, "C")
FLAGS: Final = types.Array(types.uint8, 1, "C")
SIDE: Final = (SLOTS, PLACES, HEAP, R_ROWS, NUMBERS, R_HEAP, R_PLACES, R_PLACES, ROWS, KEYS)


class Admitted(NamedTuple):
    """What became of n events, and of control events among them."""

    users: Registered
    items: Registered
    kept: NDArray[np.bool_]
    """(n,) which events are not refused; the rows of the others mean nothing."""
    told: tuple[list[int], list[int]]
    """Rows of the users, and of the items, that control events are about; -1: has none and gets none."""
    met: Array
    """uint64, what the sketch has counted, in order."""


class Admission:
    """The gate of one model. For the thread that registers ids."""

    def __init__(self, options: LearningOptions, users: Ids, items: Ids) -> None:
        """Raises ConfigurationError where a cap is beyond what memory is set aside for."""
        self._sides = (users, items)
        self._caps = (options.most_users, options.most_items)
        self._after = options.admit_after
        self._sketch: tuple[Array, Array] | None = None
        for ids, cap, axis in zip(self._sides, self._caps, AXES, strict=True):
            if cap > ids.limit:
                name = SETTINGS[axis]
                raise ConfigurationError(
                    f"{name.replace('live', 'learning')} = {cap:,} is more than {name} = {ids.limit:,}: raise that too"
                )

    @classmethod
    def of(cls, options: LearningOptions, users: Ids, items: Ids) -> Self | None:
        """None where whoever is new gets a row."""
        return cls(options, users, items) if options.admits else None

    def admit(self, users: Texts, items: Texts, stored: Newcomers, controls: Sequence[Control] = ()) -> Admitted:
        """Register the ids of the events that are not refused. `stored`: looked at once, before anything is learned.

        controls: those that say something of a user or an item; each stands before event `before`. Raises MemoryFullError,
        and has registered and counted nothing then.
        """
        if self._sketch is None:
            self._sketch = (stored.met[0].copy(), stored.counted.copy()) if len(stored.met) else (NO_FLAGS, NO_NUMBERS)
        for texts in (users, items):
            check_lengths(texts)
        n, told, exempt = len(users.stops), np.zeros(0, np.intp), NO_FLAGS
        if controls:
            before = np.array([control.before for control in controls])
            told = before + np.arange(len(before))
            users = _with(users, before, [control.id if control.kind == "user" else "" for control in controls])
            items = _with(items, before, [control.id if control.kind == "item" else "" for control in controls])
            exempt = np.zeros(n + len(before), np.uint8)
            exempt[told] = 1
        return self._decided(users, items, told, exempt)

    def _decided(self, users: Texts, items: Texts, told: NDArray[np.intp], exempt: Array) -> Admitted:
        """The same of events and control events in one; the latter stand at `told`."""
        assert self._sketch is not None
        n = len(users.stops)
        both = (users, items)
        rooms = [ids.room_for(texts, cap) for ids, texts, cap in zip(self._sides, both, self._caps, strict=True)]
        numbers = [np.array([room.level, room.end, room.seed, room.rows, 0], np.int64) for room in rooms]
        rows, keys = np.full((2, n), -1, np.int32), np.empty((2, n), np.uint64)
        kept, met = np.empty(n, np.uint8), np.empty(2 * n if self._after > 1 else 0, np.uint64)
        used = np.zeros(1, np.int64)
        arguments = [
            *_side(rooms[0], numbers[0], users, rows[0], keys[0]), *_side(rooms[1], numbers[1], items, rows[1], keys[1]),
            self._after, exempt, *self._sketch, kept, met, used,
        ]  # fmt: skip
        admit_events(*arguments)
        found = []
        for ids, room, own, of, new in zip(self._sides, rooms, numbers, rows, keys, strict=True):
            taken = ids.took(room.given, int(own[NEW]), int(own[END]))
            ids.free = ids.free[len(taken) :]
            found.append(Registered(np.delete(of, told) if len(told) else of, new[: len(taken)], taken))
        kept_events: NDArray[np.bool_] = (np.delete(kept, told) if len(told) else kept).view(np.bool_)
        return Admitted(found[0], found[1], kept_events, (rows[0, told].tolist(), rows[1, told].tolist()), met[: used[0]])


NO_FLAGS: Final[Array] = np.zeros(0, np.uint8)
NO_NUMBERS: Final[Array] = np.zeros(1, np.int64)


def _with(texts: Texts, before: Array, names: Sequence[str]) -> Texts:
    """The same with names put in before these places; an empty one stands for nobody."""
    named = packed(names)
    text = np.concatenate((texts.text, named.text))
    begins = np.insert(texts.begins, before, named.begins + len(texts.text))
    return Texts(text, begins, np.insert(texts.stops, before, named.stops + len(texts.text)))


def _side(room: Room, numbers: Array, texts: Texts, rows: Array, keys: Array) -> tuple[Any, ...]:
    """The kernel's arguments of one axis: `SIDE`."""
    return room.slots, room.places, room.heap, room.given, numbers, *texts, rows, keys


@inner
def sought(
    slots: Array, places: Array, heap: Array, own: Array, key: np.uint64, text: Array, first: int, last: int
) -> np.int64:
    """The row of an id; negative as `find` says where it has none; NOBODY where it has no letters."""
    if last == first:
        return NOBODY
    return find(slots, own[LEVEL], places, heap, own[COUNT], key, text, first, last)


@inner
def may_come(
    own: Array, given: Array, times: int, met: Array, counted: Array, key: np.uint64, keys: Array, used: Array
) -> bool:
    """Whether an id without a row may have one, as far as it goes by itself: there is room, and it was met `times` times."""
    often = True
    if times > 1:
        keys[used[0]] = key
        used[0] += 1
        often = meet(met, counted, key) >= times
    return often and own[NEW] < len(given)


@inner
def take_row(
    slots: Array, places: Array, heap: Array, given: Array, own: Array, key: np.uint64, at: np.int64, text: Array, first: int,
    last: int, keys: Array,
) -> np.int64:  # fmt: skip
    """The row that a new id gets."""
    row = np.int64(given[own[NEW]])
    own[END] = insert(slots, places, heap, own[END], own[COUNT], key, at, row, text, first, last)
    keys[own[NEW]] = key
    own[NEW] += 1
    own[COUNT] = max(own[COUNT], row + 1)
    return row


@kernel(types.void(*SIDE, *SIDE, types.int64, FLAGS, MET, COUNTED, FLAGS, KEYS, NUMBERS), allocates=False)
def admit_events(
    user_slots: Array, user_places: Array, user_heap: Array, user_given: Array, users: Array,
    user_text: Array, user_begins: Array, user_stops: Array, user_rows: Array, user_keys: Array,
    item_slots: Array, item_places: Array, item_heap: Array, item_given: Array, items: Array,
    item_text: Array, item_begins: Array, item_stops: Array, item_rows: Array, item_keys: Array,
    after: int, exempt: Array, met: Array, counted: Array, kept: Array, keys: Array, used: Array,
) -> None:  # fmt: skip
    """kept[n] = 1 where event n gives or finds rows for both its ids: user_rows[n], item_rows[n]; 0 where it is refused.

    exempt: empty, or 1 for who need not be met first. user_keys, item_keys: hashes of those that got the rows of `given`, in
    order. keys[: used[0]]: what the sketch has counted.
    """
    for n in range(len(kept)):
        u, v = user_begins[n], user_stops[n]
        i, j = item_begins[n], item_stops[n]
        times = 1 if len(exempt) > 0 and exempt[n] == 1 else after
        user_key = hash_bytes(user_text, u, v, users[SEED])
        item_key = hash_bytes(item_text, i, j, items[SEED])
        user = sought(user_slots, user_places, user_heap, users, user_key, user_text, u, v)
        item = sought(item_slots, item_places, item_heap, items, item_key, item_text, i, j)
        kept[n] = 1
        if user < 0 and not may_come(users, user_given, times, met, counted, user_key, keys, used):
            kept[n] = 0
        if item < 0 and not may_come(items, item_given, times, met, counted, mix(item_key), keys, used):
            kept[n] = 0
        if kept[n] == 0:
            continue
        if user < 0:
            at = -1 - user
            user = take_row(user_slots, user_places, user_heap, user_given, users, user_key, at, user_text, u, v, user_keys)
        if item < 0:
            at = -1 - item
            item = take_row(item_slots, item_places, item_heap, item_given, items, item_key, at, item_text, i, j, item_keys)
        user_rows[n] = user
        item_rows[n] = item
