"""What is restored over a store forgets first what that store was told to forget after the snapshot was taken.

Rules of this file:
1. It is done to the copy that is restored, before it takes the store's place: nobody ever sees it with what was forgotten.
2. The rows are those of ids whose hash is kept; the model is read into memory for it, and written back. Where nothing was
   forgotten since, nothing is read.
3. The store says where it stood then (`Meta.cleared`), and which entries it was about: who learns the log again, as `audit`
   does, can clear at the same place. The log after it still holds events of what is gone, up to the record that asked: see
   trainer/barred.py.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from streammf.errors import StoreError
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array, Axis
from streammf.state import datafile
from streammf.state.changes import Copier
from streammf.state.forgotten import Erased, Forgotten, hasher, naming_hashed
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.meta import Cleared, Meta, Position
from streammf.state.model import Model
from streammf.state.options import SETTINGS, Limits, StoreOptions
from streammf.state.recovery import recover
from streammf.state.store import Store

#: Ids that are hashed at once.
AT_ONCE = 100_000


def told_since(folder: Path, identity: str, positions: Sequence[Position], allow_network: bool) -> list[Forgotten]:
    """What the store in `folder`, if it is the one of this identity, was told to forget beyond these positions."""
    if not (folder / datafile.NAME).exists():
        return []
    try:
        with Store.open_readonly(folder, allow_network=allow_network) as store, store.read() as reading:
            entries = reading.forgotten() if reading.identity() == identity else []
    except StoreError:
        return []  # damaged: that is why somebody restores
    reached = {(p.topic, p.partition, p.topic_id): p.next for p in positions}
    return [e for e in entries if not e.cleared and e.offset >= reached.get((e.topic, e.partition, e.topic_id), 0)]


def clear(store: Store, entries: Sequence[Forgotten]) -> Meta:
    """Forget in a store what these entries, hashed with its key, are about, durably, and keep them."""
    meta = store.meta()
    if meta is None:
        raise StoreError(f"{store.path} holds no model yet: there is nothing to forget in it")
    hashed = hasher(store.key)
    model = _model(meta)
    recover(store, model.memory, model.users, model.items)
    copier = Copier(model.memory, model.users, model.items, meta.counts)
    found = {axis: _rows(model, axis, {e.hash for e in entries if e.axis == axis}, hashed) for axis in (Axis.USER, Axis.ITEM)}
    for axis, rows in found.items():
        if len(rows):
            model.forget(axis, rows)
    number = len(meta.cleared) + 1
    kept = [entry._replace(cleared=one) for entry in entries for one in (0, number)]
    cleared = msgspec.structs.replace(meta, cleared=[*meta.cleared, Cleared(meta.commit, meta.positions)])
    names = naming_hashed({entry.hash for entry in entries}, hashed)
    return store.commit(copier.take(), cleared, erased=Erased(kept, names))


def clear_file(aside: Path, entries: Sequence[Forgotten], allow_network: bool) -> None:
    """The same in the data file of a folder that nobody else uses."""
    with Store.open(StoreOptions(path=str(aside), allow_network=allow_network)) as store:
        clear(store, entries)


def _model(meta: Meta) -> Model:
    options = msgspec.convert(meta.choices, LearningOptions)
    ready(options.part)
    most = [max(count, 1) for count in meta.counts]
    limits = Limits(users=most[Axis.USER], items=most[Axis.ITEM])
    memory = Memory.anonymous(options.dimensions, meta.seed, limits=limits)
    users = Ids.anonymous(meta.seed, limits.users, SETTINGS[Axis.USER])
    items = Ids.anonymous(meta.seed, limits.items, SETTINGS[Axis.ITEM])
    return Model(options, memory, users, items)


def _rows(model: Model, axis: Axis, hashes: set[bytes], hashed: Callable[[Axis, bytes], bytes]) -> Array:
    """int32: the rows of an axis whose ids have one of these hashes."""
    ids = model.users if axis == Axis.USER else model.items
    if not hashes:
        return np.zeros(0, np.int32)
    rows = []
    for first in range(0, ids.count, AT_ONCE):
        names = ids.names(np.arange(first, min(first + AT_ONCE, ids.count), dtype=np.int32))
        rows += [first + n for n, name in enumerate(names) if name and hashed(axis, name.encode()) in hashes]
    return np.array(rows, np.int32)
