"""What a log no longer holds of what the stored positions ask for, and what it means to accept that.

Rules of this file:
1. Nothing is reset by itself: unless a loss was accepted, it is a DataLossError that says how many events it is about.
2. What was accepted stands in the store before anything is read: in the first commit, with the positions that follow from it.
3. No event is applied twice to make up for one that is lost: reading goes on where nothing was learned from yet.
4. A partition that is gone keeps its position. Should it come back as the same log, reading goes on from there.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from streammf.errors import DataLossError
from streammf.events.source import Bounds, Partition, Source
from streammf.state.meta import NO_LOG, Loss, Position

#: What a message says beside what was lost.
REMEDY: Final = (
    "to go on with what the log holds, start with --on-data-loss accept (source.on_data_loss); "
    "to begin anew, set store.path to another folder"
)

#: Partitions that a message names.
MOST_NAMED: Final = 4


def settle(source: Source, stored: Sequence[Position], accepted: Sequence[Loss], accept: bool) -> list[Loss]:
    """Seek `source` to the stored positions, and return the losses that were accepted on the way.

    `accepted`: in earlier starts. Raises DataLossError where there is a loss and `accept` is not set.
    """
    known = {Partition(p.topic, p.partition): p for p in stored if p.topic_id != NO_LOG}
    waived = {(loss.topic, loss.partition, loss.position) for loss in accepted if loss.reason == "gone"}
    gone = [p for partition, p in known.items() if partition not in source.partitions]
    lost = [Loss.of(p, "gone", p.next, 0) for p in gone if (p.topic, p.partition, p.next) not in waived]
    ids = source.topic_ids()
    there = {partition: p for partition, p in known.items() if partition in source.partitions}
    other = {partition for partition, p in there.items() if ids[partition.topic] != p.topic_id}
    topics = {p.topic for p in there.values()}
    if accept:
        lost += _outside(source.bounds(), there, other, topics)
    elif lost or other:
        bounds = source.bounds() if other else {}
        lost += _outside({partition: bounds[partition] for partition in sorted(other)}, there, other, topics)
        raise _error(lost)
    resumed = {Partition(loss.topic, loss.partition): loss.resumed for loss in lost if loss.reason != "gone"}
    source.seek({partition: p.next for partition, p in there.items()} | resumed)
    if late := [] if accept else [_late(p, at) for p, at in source.positions().items() if _is_late(p, at, there, topics)]:
        raise _error(late)
    return lost


def _error(losses: Sequence[Loss]) -> DataLossError:
    """All of them in one line that can be read."""
    named, others = losses[:MOST_NAMED], losses[MOST_NAMED:]
    rest = f"; and {sum(loss.events for loss in others):,} events of {len(others)} other partitions" if others else ""
    return DataLossError("; ".join(map(words, named)) + rest)


def words(loss: Loss) -> str:
    """What happened, for people."""
    name, at, events = f"{loss.topic}/{loss.partition}", f"{loss.position:,}", f"{loss.events:,}"
    match loss.reason:
        case "expired":
            return f"{events} events of {name} are lost: the log begins at {loss.resumed:,}, not at {at}"
        case "truncated":
            return (
                f"{name} is shorter than the stored position: {events} events before {at} are gone, the log ends at "
                f"{loss.resumed:,}; what it was given since it was cut is not told apart, and would be left out"
            )
        case "recreated":
            return (
                f"{name} is not the log that the store has learned from, up to offset {at}: it was made anew under the same "
                f"name; what the old one held beyond is lost and cannot be counted, the {events} events of the new one would "
                "be learned"
            )
        case "gone":
            return f"the store has learned from {name}, up to offset {at}, which the source does not have"
        case "late":
            return f"{events} events of {name}, which was added, are lost: it begins at {loss.resumed:,}"


def _outside(
    bounds: Mapping[Partition, Bounds], there: Mapping[Partition, Position], other: Iterable[Partition], topics: Iterable[str]
) -> list[Loss]:
    """The losses of the partitions whose bounds are given."""
    found = []
    for partition, (first, end) in bounds.items():
        position = there.get(partition)
        if position is None:
            if _is_late(partition, first, there, topics):
                found.append(_late(partition, first))
        elif partition in other:
            found.append(Loss.of(position, "recreated", first, end - first))
        elif position.next < first:
            found.append(Loss.of(position, "expired", first, first - position.next))
        elif position.next > end:
            found.append(Loss.of(position, "truncated", end, position.next - end))
    return found


def _is_late(partition: Partition, first: int, there: Mapping[Partition, Position], topics: Iterable[str]) -> bool:
    """Whether a partition that was added to a known topic does not begin at its beginning any more."""
    return partition not in there and partition.topic in topics and first > 0


def _late(partition: Partition, first: int) -> Loss:
    return Loss(*partition, "late", 0, first, first, NO_LOG)
