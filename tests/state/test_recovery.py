"""From the store back into memory."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from streammf.errors import ConfigurationError, StoreError
from streammf.learning.tables import TABLES, Array, Axis, Dimensions, Table, Users, column
from streammf.state.changes import Copier
from streammf.state.digest import digest, digest_of
from streammf.state.meta import require_settings
from streammf.state.options import StoreOptions
from streammf.state.records import column_bytes
from streammf.state.recovery import recover
from streammf.state.store import Store
from tests.state.models import DIMENSIONS, Model, change, commit, meta, model, positions


class Wider(NamedTuple):
    """The users' table and three columns more, of lengths that no other has."""

    factor: Array = Users._field_defaults["factor"]
    bias: Array = Users._field_defaults["bias"]
    mood: Array = column("u1", "one byte", fill=7)
    words: Array = column("u2", "three times two bytes", 3)
    soul: Array = column("f8", "as many as factors", "factors")


WIDER = (Table("users", Axis.USER, Wider), *TABLES[1:])


def options(path: Path) -> StoreOptions:
    return StoreOptions(path=str(path))


def same(one: Model, other: Model) -> bool:
    counts = one.memory.counts.tolist()
    columns = [
        np.array_equal(column_bytes(a, counts[table.axis]), column_bytes(b, counts[table.axis]))
        for table in one.memory.tables
        for a, b in zip(one.memory.arrays[table.name], other.memory.arrays[table.name], strict=True)
    ]
    names = [
        a.names(np.arange(a.count)) == b.names(np.arange(b.count))
        for a, b in ((one.users, other.users), (one.items, other.items))
    ]
    return counts == other.memory.counts.tolist() and all(columns) and all(names)


def test_nothing_is_recovered_from_a_store_without_a_commit(tmp_path: Path) -> None:
    made = model()
    with Store.open(options(tmp_path)) as store:
        assert recover(store, *made) is None
    assert made.memory.counts[Axis.USER] == 0


@pytest.mark.parametrize("dimensions", [DIMENSIONS, Dimensions(factors=33, history=0, recent=7)], ids=str)
def test_what_is_recovered_equals_what_was_committed_byte_for_byte(tmp_path: Path, dimensions: Dimensions) -> None:
    made = model(dimensions=dimensions)
    with Store.open(options(tmp_path)) as store:
        last, copier = meta(dimensions=dimensions), Copier(*made)
        for step in range(1, 30):
            change(made, step)
            last = commit(store, copier, last, step)
            if step % 7 == 0:
                back = model(dimensions=dimensions)
                assert recover(store, *back) == last
                assert same(made, back)
                assert back.memory.marks.users.used[0] == 0


def test_learning_goes_on_from_a_recovered_model_as_if_nothing_had_been(tmp_path: Path) -> None:
    straight = model()
    last = meta()
    for step in range(1, 9):
        change(straight, step)
        with Store.open(options(tmp_path)) as store:
            made = model()
            last = recover(store, *made) or last
            change(made, step)
            last = commit(store, Copier(*made, since=last.counts), last, step)
    assert same(straight, made)
    assert last.positions == positions(8)
    assert (last.commit, last.owner_epoch) == (8, 8)


def test_an_added_column_goes_through_store_recovery_and_digest(tmp_path: Path) -> None:
    made, back = model(WIDER), model(WIDER)
    with Store.open(options(tmp_path), WIDER) as store:
        last, copier = meta(WIDER), Copier(*made)
        for step in range(1, 5):
            change(made, step, most_new=300)
            last = commit(store, copier, last, step)
        before = digest(store, tables=WIDER)
        recover(store, *back)
        assert same(made, back)
        back.memory.arrays["users"].mood[3] ^= 1
        assert digest_of(*back, side="users") != digest(store, "users", WIDER)
        assert digest(store, tables=WIDER) == before


def test_other_columns_than_the_stored_ones_are_named(tmp_path: Path) -> None:
    with Store.open(options(tmp_path)) as store:
        commit(store, Copier(*model()), meta(), 1)
        with pytest.raises(StoreError, match=r"this release has .*users\.mood: u1 x 1.*the store has .*users\.seen_count"):
            recover(store, *model(WIDER))


@pytest.mark.parametrize(
    ("objective", "seed", "dimensions", "said"),
    [
        ("rating", 1, DIMENSIONS, r'learning\.objective is "rating", but the store was made with "ranking"'),
        ("ranking", 2, DIMENSIONS, r"learning\.seed is 2, but the store was made with 1"),
        ("ranking", 1, DIMENSIONS._replace(factors=8), r"learning\.factors is 8, but the store was made with 4"),
        ("ranking", 1, DIMENSIONS._replace(recent=9), r"learning\.recent is 9, but the store was made with 50"),
    ],
)
def test_a_configuration_that_asks_for_another_model_is_refused(
    objective: str, seed: int, dimensions: Dimensions, said: str
) -> None:
    require_settings(meta(), "ranking", 1, DIMENSIONS)
    with pytest.raises(ConfigurationError, match=said):
        require_settings(meta(), objective, seed, dimensions)


def test_a_store_from_before_the_blend_opens_without_it_and_an_opening_with_it_says_so() -> None:
    plain = DIMENSIONS._replace(blend=0, neighbours=1, peers=1, stack=0, attributes=0)
    old = msgspec.structs.replace(
        meta(), dimensions={"factors": plain.factors, "history": plain.history, "recent": plain.recent}, options={"factors": 4}
    )
    require_settings(old, "ranking", 1, plain)
    assert old.choices == {"blend": False, "stack": False, "factors": 4}
    with pytest.raises(ConfigurationError, match=r"learning\.blend is true, .* made with false: set learning\.blend = false"):
        require_settings(old, "ranking", 1, DIMENSIONS)


def test_a_store_that_lacks_a_block_or_an_id_is_damaged(tmp_path: Path) -> None:
    made = model()
    change(made, 1, most_new=500)
    changes = Copier(*made).take()
    users, *others = changes.rows
    kept = len(users.numbers) - users.layout.rows
    short = changes._replace(
        rows=[users._replace(numbers=users.numbers[:kept], columns=[column[:kept] for column in users.columns]), *others]
    )
    with Store.open(options(tmp_path / "rows")) as store:
        store.commit(short, meta())
        with pytest.raises(StoreError, match="a block of the table users is missing"):
            recover(store, *model())
    with Store.open(options(tmp_path / "ids")) as store:
        store.commit(changes._replace(ids=changes.ids[1:]), meta())
        with pytest.raises(StoreError, match=r"0 of .* user ids are there"):
            recover(store, *model())


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [("users", "factor", np.nan), ("items", "factor", np.inf), ("items", "log_popularity", np.nan), ("seen", "items", 1)],
)
def test_a_number_that_learning_never_writes_is_damage_and_a_first_value_is_none(
    tmp_path: Path, table: str, name: str, value: float
) -> None:
    made = model()
    change(made, 1, most_new=500)
    getattr(made.memory.arrays[table], name)[77] = value
    made.memory.arrays["items"].log_popularity[3] = -np.inf  # the log of nothing
    with Store.open(options(tmp_path)) as store:
        commit(store, Copier(*made), meta(), 1)
        if np.isfinite(value):
            assert recover(store, *model())
            return
        with pytest.raises(StoreError, match=rf"row 77 of {table}\.{name} holds {value}, which learning never writes"):
            recover(store, *model())
