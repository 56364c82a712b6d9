"""Learning options: own defaults per objective, bounds, and what the tables take of them."""

import msgspec
import pytest

from streammf.learning.options import BLENDED, DEFAULTS, RING, LearningOptions
from streammf.learning.tables import TABLES, WAYS, Axis, Dimensions, in_use, row_bytes


@pytest.mark.parametrize("objective", ["ranking", "rating"])
def test_each_objective_brings_its_own_defaults(objective: str) -> None:
    options = msgspec.convert({"objective": objective, "blend": False}, LearningOptions)
    assert {name: getattr(options, name) for name in DEFAULTS[objective]} == DEFAULTS[objective]


def test_the_blend_brings_defaults_of_its_own() -> None:
    options = LearningOptions()
    assert {name: getattr(options, name) for name in BLENDED} == BLENDED
    assert LearningOptions(rehearsals=4).rehearsals == 4


def test_what_is_given_stays() -> None:
    options = LearningOptions(objective="rating", rehearsals=0, user_rate=0.0, history=7)
    assert (options.rehearsals, options.user_rate, options.history) == (0, 0.0, 7)
    again = msgspec.convert(msgspec.to_builtins(options), LearningOptions)
    assert again == options


@pytest.mark.parametrize(
    "choice",
    [
        {"user_rate": -1.0},
        {"rehearsals": -1},
        {"scale": (5.0, 1.0)},
        {"scale": (float("nan"), 1.0)},
        {"types": {"click": float("nan")}},
        {"rank_decay": 0.0},
        {"popularity_half_life": float("inf")},
        {"learning_rate": 0.1},
    ],
)
def test_nonsense_is_refused(choice: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(choice, LearningOptions)


def test_a_history_that_is_off_leaves_no_empty_column() -> None:
    options = LearningOptions(history=0, factors=8, recent=9, blend=False)
    assert options.dimensions == Dimensions(factors=8, history=1, recent=9)


def test_neighbours_and_peers_that_are_off_leave_no_empty_column_and_least_squares_its_ring() -> None:
    blend = LearningOptions(neighbours=0, peers=0).dimensions
    assert (blend.neighbours, blend.peers) == (1, RING)
    assert LearningOptions(objective="rating", neighbours=0).dimensions.corated == WAYS


def bytes_a_row(axis: Axis, options: LearningOptions) -> int:
    dimensions = options.dimensions
    return sum(row_bytes(table, dimensions) for table in in_use(TABLES, dimensions) if table.axis == axis)


def test_a_ranking_user_takes_at_most_600_bytes_with_and_without_the_blend() -> None:
    assert [bytes_a_row(Axis.USER, LearningOptions(blend=blend)) for blend in (False, True)] == [544, 556]


def test_the_stack_costs_a_user_8_bytes_and_an_item_its_list_and_nothing_when_it_is_off() -> None:
    ratings = [LearningOptions(objective="rating", stack=stack) for stack in (False, True)]
    assert [bytes_a_row(Axis.USER, options) for options in ratings] == [928, 936]
    assert [bytes_a_row(Axis.ITEM, options) for options in ratings] == [292, 292 + 20 + 16 * 104]
    off, ranking = ratings[0].dimensions, LearningOptions(blend=False).dimensions
    assert off._replace(history=32, recent=20_000) == ranking


def test_without_the_blend_an_item_has_nothing_of_it() -> None:
    assert bytes_a_row(Axis.ITEM, LearningOptions(blend=False)) == 292
