"""The window of event ids: a dict and a list say the same."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streammf.learning.compiling import ready
from streammf.learning.tables import Array
from streammf.state.changes import Copier
from streammf.state.ids import joined
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from streammf.state.window import Window, accepted_of
from tests.state.models import meta, model

NOTHING = np.zeros(0, np.uint64)


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


def slowly(hashes: Sequence[int], size: int) -> list[bool]:
    """Which events are no duplicates, by the rule itself."""
    accepted: list[int] = []
    fresh = []
    for key in hashes:
        fresh.append(key == 0 or key not in accepted[-size:])
        if key and fresh[-1]:
            accepted.append(key)
    return fresh


#: Few homes, so that searches run into each other; 0 is no id.
HASHES = st.lists(st.builds(lambda home, high: home + (high << 40), st.integers(0, 9), st.integers(0, 3)), max_size=200)


@settings(deadline=None, max_examples=300)
@given(HASHES, st.integers(1, 20), st.lists(st.integers(0, 200), max_size=5))
def test_duplicates_are_those_of_the_rule_whatever_the_batches_and_restarts(
    keys: list[int], size: int, borders: list[int]
) -> None:
    hashes = np.array(keys, np.uint64)
    window, accepted, fresh = Window(size, 1, NOTHING), NOTHING, np.zeros(0, np.bool_)
    for part in np.split(hashes, sorted(borders)):
        found = window.fresh(part)
        fresh = np.concatenate((fresh, found))
        accepted = np.concatenate((accepted, accepted_of(part, found)))
        if len(part) % 2:
            window = Window(size, 1, accepted)
    assert fresh.tolist() == slowly(keys, size)


def test_equal_ids_have_equal_hashes_and_no_id_has_none() -> None:
    window = Window(10, 1, NOTHING)
    hashes = window.hashes(joined([b"a", b"", b"b", b"a", b"a\0", "é".encode() * 1000]))
    assert hashes[1] == 0
    assert hashes[0] == hashes[3]
    assert len(set(hashes.tolist())) == 5
    assert Window(10, 2, NOTHING).hashes(joined([b"a"]))[0] != hashes[0]


@pytest.mark.parametrize("sizes", [[7] * 20, [1, 30, 0, 2, 50, 3]])
def test_the_store_keeps_the_newest_and_little_more(tmp_path: Path, sizes: list[int]) -> None:
    everything = np.arange(1, sum(sizes) + 1, dtype=np.uint64)
    with Store.open(StoreOptions(path=str(tmp_path))) as store:
        before = meta()
        first = 0
        for size in sizes:
            before = store.commit(Copier(*model()).take(), before, accepted=everything[first : first + size], window=20)
            first += size
            assert kept(store)[-20:].tolist() == everything[max(first - 20, 0) : first].tolist()
            assert len(kept(store)) < 20 + max(sizes)


def kept(store: Store) -> Array:
    with store.read() as reading:
        return reading.accepted()
