"""What is said, and what is done, where the log is not what the store has learned from."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from streammf.errors import DataLossError, ExitCode
from streammf.events.source import Bounds, Partition, Source
from streammf.learning.compiling import ready
from streammf.state.meta import NO_LOG, Loss, Position
from streammf.state.store import Store
from streammf.trainer.losses import settle
from tests.trainer.sources import LOG, ListedSource, clicks
from tests.trainer.test_loop import stored_digest, train

FIRST, SECOND = Partition("events", 0), Partition("events", 1)


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


class HeldSource(ListedSource):
    """Partitions that hold what the test says, and never deliver any of it."""

    def __init__(self, held: Mapping[Partition, Bounds], topic_id: str = "one") -> None:
        super().__init__([])
        self.partitions = tuple(held)
        self.held = dict(held)
        self.at = {partition: bounds.first for partition, bounds in held.items()}
        self.id = topic_id

    def topic_ids(self) -> dict[str, str]:
        return {partition.topic: self.id for partition in self.partitions}

    def bounds(self) -> dict[Partition, Bounds]:
        return self.held

    def seek(self, positions: Mapping[Partition, int]) -> None:
        for partition, position in positions.items():
            if not self.held[partition].first <= position <= self.held[partition].end:
                raise DataLossError(f"{partition} does not hold {position}")
        self.at |= positions

    def positions(self) -> dict[Partition, int]:
        return self.at


def stored(*positions: int, topic_id: str = "one") -> list[Position]:
    return [Position("events", number, position, topic_id) for number, position in enumerate(positions)]


def refusal(source: Source, positions: list[Position]) -> str:
    """What a start without the switch says."""
    with pytest.raises(DataLossError) as raised:
        settle(source, positions, [], accept=False)
    assert raised.value.exit_code == ExitCode.DATA_LOSS
    return str(raised.value)


def test_where_nothing_is_lost_nothing_is_accepted() -> None:
    source = HeldSource({FIRST: Bounds(3, 9), SECOND: Bounds(0, 5)})
    for accept in (False, True):
        assert settle(source, stored(3, 5), [], accept) == []
        assert source.at == {FIRST: 3, SECOND: 5}


def test_a_position_before_the_log_s_start_goes_on_at_the_start_once_accepted() -> None:
    source = HeldSource({FIRST: Bounds(30, 90)})
    refusal(source, stored(10))
    assert settle(source, stored(10), [], accept=True) == [Loss("events", 0, "expired", 10, 30, 20, "one")]
    assert source.at == {FIRST: 30}


def test_a_position_beyond_the_log_s_end_goes_on_at_the_end_once_accepted() -> None:
    source = HeldSource({FIRST: Bounds(0, 40)})
    refusal(source, stored(55))
    assert settle(source, stored(55), [], accept=True) == [Loss("events", 0, "truncated", 55, 40, 15, "one")]
    assert source.at == {FIRST: 40}


def test_a_log_made_anew_is_learned_from_its_start_once_accepted_however_long_it_is() -> None:
    for held in (Bounds(0, 5), Bounds(0, 10), Bounds(2, 900)):
        source = HeldSource({FIRST: held}, "another")
        said = refusal(source, stored(10))
        assert "made anew under the same name" in said
        assert f"the {held.end - held.first} events of the new one" in said
        assert settle(source, stored(10), [], accept=True) == [
            Loss("events", 0, "recreated", 10, held.first, held.end - held.first, "one")
        ]
        assert source.at == {FIRST: held.first}


def test_a_partition_that_is_gone_is_accepted_once_and_keeps_its_position() -> None:
    source = HeldSource({FIRST: Bounds(0, 40)})
    assert "events/1, up to offset 7, which the source does not have" in refusal(source, stored(20, 7))
    accepted = settle(source, stored(20, 7), [], accept=True)
    assert accepted == [Loss("events", 1, "gone", 7, 7, 0, "one")]
    assert settle(source, stored(20, 7), accepted, accept=False) == []
    refusal(source, stored(20, 8))
    back = HeldSource({FIRST: Bounds(0, 40), SECOND: Bounds(0, 40)})
    assert settle(back, stored(20, 7), accepted, accept=False) == []
    assert back.at == {FIRST: 20, SECOND: 7}


def test_a_partition_that_was_added_and_has_lost_its_beginning_is_a_loss() -> None:
    source = HeldSource({FIRST: Bounds(0, 40), SECOND: Bounds(4, 9)})
    assert "4 events of events/1, which was added, are lost" in refusal(source, stored(20))
    assert settle(source, stored(20), [], accept=True) == [Loss("events", 1, "late", 0, 4, 4, NO_LOG)]


def test_a_first_start_takes_a_log_as_it_is() -> None:
    source = HeldSource({FIRST: Bounds(30, 90), SECOND: Bounds(4, 9)})
    assert settle(source, [], [], accept=False) == []
    assert settle(source, [Position("model", 0, 500, NO_LOG)], [], accept=False) == []


def test_a_message_names_few_of_many_partitions_and_counts_all() -> None:
    source = HeldSource({Partition("events", n): Bounds(0, 10) for n in range(50)}, "another")
    said = refusal(source, stored(*[5] * 50))
    assert said.count("made anew") < 10
    assert "and 460 events of 46 other partitions" in said


def test_an_accepted_loss_is_durable_before_anything_is_read_and_only_once(tmp_path: Path) -> None:
    events = clicks(60)
    train(tmp_path, ListedSource(events))
    with pytest.raises(DataLossError, match="made anew"):
        train(tmp_path, ListedSource(events, topic_id="two"))
    anew = ListedSource([ZeroDivisionError()], topic_id="two")
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, anew, accept_loss=True)
    with Store.open_readonly(tmp_path / "store") as store:
        meta = store.meta()
    assert meta is not None
    assert meta.losses == [Loss(*LOG, "recreated", 60, 0, 1, "one")]
    assert meta.positions == [Position(*LOG, 0, "two")]
    assert meta.events == 60
    more = clicks(90)[60:]
    assert train(tmp_path, ListedSource(more, topic_id="two")).events == 90
    with Store.open_readonly(tmp_path / "store") as store:
        after = store.meta()
    assert after is not None
    assert (after.losses, after.positions) == (meta.losses, [Position(*LOG, 30, "two")])


def test_a_loss_that_is_accepted_leaves_the_same_model_however_the_rest_is_cut(tmp_path: Path) -> None:
    for name, most in (("whole", 1000), ("sevens", 7)):
        train(tmp_path / name, ListedSource(clicks(50)))
        train(tmp_path / name, ListedSource(clicks(80)[50:], most, topic_id="two"), accept_loss=True)
    assert stored_digest(tmp_path / "whole") == stored_digest(tmp_path / "sevens")
