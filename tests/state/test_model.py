"""Forgetting in memory, ids and store together: nothing is left, and what follows is the same whatever the batches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from streammf.learning.tables import Axis, Table
from streammf.state.digest import digest
from streammf.state.examination import examine
from streammf.state.ids import packed
from streammf.state.memory import Memory
from streammf.state.options import StoreOptions
from streammf.state.store import Store
from tests.state.forgetters import Kept, in_files, learn, learn_of, made, number, user

SECRET = "0123456789abcdef" * 2


@pytest.mark.parametrize("size", [1, 7])
def test_the_split_into_batches_shows_nowhere(size: int) -> None:
    whole, pieces = made(), made()
    for seed in range(3):
        learn(whole, seed)
        learn(pieces, seed, size=size)
        for model in (whole, pieces):
            assert model.forget_ids(Axis.USER, [user(3 + seed), "nobody"]) == 1
            assert model.forget_ids(Axis.ITEM, ["item-5", f"item-{seed}"]) == 2
    learn(whole, 9)
    learn(pieces, 9, size=size)
    assert number(whole) == number(pieces)


def test_whoever_gets_a_row_again_begins_as_in_a_new_row() -> None:
    model, fresh = made(), made()
    learn(model, 1)
    learn(fresh, 1)
    model.forget_ids(Axis.ITEM, ["item-5"])
    rows = []
    for one in (model, fresh):
        registered = one.items.register_texts(packed(["a newcomer"]))
        again = registered.new[registered.new < one.memory.counts[Axis.ITEM]]
        one.memory.add_rows(Axis.ITEM, registered.keys, again)
        rows.append(registered.new)
    assert rows[0][0] < rows[1][0]
    for table in model.memory.tables:
        if table.axis == Axis.ITEM:
            for a, b in zip(model.memory.arrays[table.name], fresh.memory.arrays[table.name], strict=True):
                assert np.array_equal(a[rows[0]], b[rows[1]]), table.name
    assert model.memory.vacancies == (0, 0)


def test_what_is_forgotten_between_commits_is_forgotten_in_the_store(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path))) as store:
        kept = Kept(store)
        for seed in range(4):
            learn(kept.model, seed)
            if seed:
                kept.forget(Axis.USER, user(seed), user(seed + 10))
                kept.forget(Axis.ITEM, f"item-{seed}")
            if seed % 2:
                learn(kept.model, 20 + seed, 10)  # some rows are given again before the commit, some after it
            assert kept.commit().vacant == kept.model.memory.vacancies
            assert digest(store) == number(kept.model)
    assert examine(tmp_path, lambda *_: None).problems == []
    with Store.open(StoreOptions(path=str(tmp_path))) as store:
        again = Kept(store)
    assert number(again.model) == number(kept.model)
    assert again.model.memory.vacancies == kept.model.memory.vacancies
    for model in (again.model, kept.model):
        learn(model, 30)
    assert number(again.model) == number(kept.model)


def test_an_id_that_is_registered_for_a_vacant_row_and_not_admitted_is_not_committed(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path))) as store:
        kept = Kept(store)
        learn(kept.model, 1)
        kept.commit()
        kept.forget(Axis.USER, user(3))
        before = number(kept.model)
        kept.model.users.register(["too early"])
        kept.commit()
        assert digest(store) == before


def test_of_a_user_that_no_commit_saw_nothing_is_written_at_all(tmp_path: Path) -> None:
    with Store.open(StoreOptions(path=str(tmp_path))) as store:
        kept = Kept(store)
        learn_of(kept.model, [SECRET], ["item-1"])
        kept.forget(Axis.USER, SECRET)
        kept.commit()
    assert in_files(tmp_path, SECRET) == []


def test_memory_for_new_rows_is_backed_when_a_batch_is_prepared_and_not_when_it_is_admitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backed: list[Axis] = []

    def back(_: Memory, tables: Sequence[Table], *rows: int) -> None:
        assert rows[0] < rows[1]
        backed.append(tables[0].axis)

    model, n = made(), 5000
    learn(model, 1)
    monkeypatch.setattr(Memory, "_back", back)
    ids, offsets = packed([f"new-{number}" for number in range(n)]), np.arange(300, 300 + n)
    numbers = np.ones(n, np.float32), offsets * 1000 + 10**12, np.zeros(n, np.int32), offsets
    prepared = model.prepare(ids, ids, np.zeros(n, np.uint16), *numbers)
    assert backed == [Axis.USER, Axis.ITEM]
    model.admit(prepared)
    assert backed[2:] == [Axis.SEEN]
