"""What a trainer counts.

Rules of this file:
1. Counting costs per batch, never per event, beyond what one pass over a column costs.
2. Label values are closed sets: the types of the configuration, and the reasons of the codec.
3. Each number has one thread that writes it: reading and decoding, learning, committing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from streammf.counters.block import OWN, SECONDS, Block, Counter, Family
from streammf.events.event import CONTROL_TYPES, REASONS, UNITS, Control, Rejected
from streammf.state.meta import Loss, LossReason

BATCHES: Final = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0)
#: Seconds; from what a click may take at best to what a backlog takes.
AGES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 3600.0)

#: What became of a snapshot.
SNAPSHOTS: Final = ("written", "failed")

LOSSES: Final[tuple[str, ...]] = get_args(LossReason)
#: The kind of an odd time that is one of the future.
AHEAD: Final = "ahead"
#: Seconds that an age counts as at most: the years of a replayed log would drown the sum.
OLDEST: Final = 86_400.0


def families(types: Iterable[str]) -> tuple[Family, ...]:
    """The families of a trainer that learns from events of these types."""
    outcomes = ("applied", "already_applied", "duplicate", "forgotten", "refused")
    return (
        *OWN,
        Family(
            "events_total",
            "counter",
            "Events handed to the model; already_applied: the log's client delivered them again, and they were dropped; "
            "duplicate: dropped, because their id was there before; forgotten: dropped, because a restored store has forgotten "
            "whom they name already; refused: they name a user or an item that gets no row yet.",
            {"type": tuple(types), "outcome": outcomes},
        ),
        Family(
            "controls_total",
            "counter",
            "Control events that were acted on; they are no events of events_total.",
            {"kind": tuple(sorted(CONTROL_TYPES))},
        ),
        Family(
            "expired_total",
            "counter",
            "Users and items that were forgotten, because they had no event for long.",
            {"kind": ("user", "item")},
        ),
        Family("diverged", "gauge", "1 where learning was stopped because the model had diverged, else 0."),
        *_set_aside(),
        Family("batch_events", "histogram", "Events of a batch, those that are set aside included.", buckets=BATCHES),
        Family("decode_seconds", "histogram", "Decoding and checking one batch.", buckets=SECONDS),
        Family("learn_seconds", "histogram", "Applying one batch to the model, new ids included.", buckets=SECONDS),
        Family("publish_seconds", "histogram", "Making one batch visible to the query workers.", buckets=SECONDS),
        Family("commit_copy_seconds", "histogram", "Copying what changed; learning waits for it.", buckets=SECONDS),
        Family("commit_write_seconds", "histogram", "Writing a commit to disk, beside learning.", buckets=SECONDS),
        Family("snapshots_total", "counter", "Snapshots that the trainer was to write by itself.", {"outcome": SNAPSHOTS}),
        Family("snapshot_bytes", "gauge", "Size of the newest snapshot of this store; 0: there is none."),
        Family("snapshot_at", "gauge", "Wall clock at which it was written, seconds since the epoch; 0: there is none."),
        Family("snapshot_due_at", "gauge", "Wall clock since which one is due, seconds since the epoch; 0: none is."),
        Family(
            "store_reader_lag_commits",
            "gauge",
            "Commits since the one that the slowest reader of the store sees; what it holds back, the file grows by.",
        ),
        Family(
            "freshness_seconds",
            "histogram",
            "From an event's own time until queries reflect it. Old events that are replayed are old; a day is the most.",
            buckets=AGES,
        ),
    )


def _set_aside() -> tuple[Family, ...]:
    """Families of what was not learned from as it came."""
    return (
        Family("rejected_total", "counter", "Records set aside, by reason.", {"reason": REASONS}),
        Family("accepted_losses_total", "counter", "Partitions of which a loss of events was accepted.", {"reason": LOSSES}),
        Family(
            "lost_events_total",
            "counter",
            "Events that an accepted loss was about, as far as they can be counted; recreated: those of the new log.",
            {"reason": LOSSES},
        ),
        Family(
            "odd_times_total",
            "counter",
            "Times in another unit than ms, converted or set aside; ahead: later than the event clock, and taken as now.",
            {"kind": (*UNITS, AHEAD)},
        ),
        Family(
            "dead_letters_total",
            "counter",
            "Records set aside, by what became of them on their way out; gone: dropped, or too many, before they were sent; "
            "failed: attempts at a batch, which is tried again.",
            {"outcome": ("sent", "gone", "failed")},
        ),
        Family("dead_letters_waiting", "gauge", "Records set aside and not yet sent on; 0 where there are no dead letters."),
    )


class TrainerCounters:
    """The numbers of one trainer, in a block of `families(types)`."""

    def __init__(self, block: Block, types: Iterable[str]) -> None:
        self.block = block
        self.heartbeat = block.gauge("heartbeat")
        self.diverged = block.gauge("diverged")
        self.batch_events = block.histogram("batch_events")
        self.decode_seconds = block.histogram("decode_seconds")
        self.learn_seconds = block.histogram("learn_seconds")
        self.publish_seconds = block.histogram("publish_seconds")
        self.commit_copy_seconds = block.histogram("commit_copy_seconds")
        self.commit_write_seconds = block.histogram("commit_write_seconds")
        self._freshness = block.histogram("freshness_seconds")
        self._bounds = np.array(AGES)
        names = tuple(types)
        self._applied = [block.counter("events_total", name, "applied") for name in names]
        self._again = [block.counter("events_total", name, "already_applied") for name in names]
        self._losses = {
            reason: (block.counter("accepted_losses_total", reason), block.counter("lost_events_total", reason))
            for reason in LOSSES
        }
        self._duplicate = [block.counter("events_total", name, "duplicate") for name in names]
        self._refused = [block.counter("events_total", name, "refused") for name in names]
        self._forgotten = [block.counter("events_total", name, "forgotten") for name in names]
        self._controls = {kind: block.counter("controls_total", kind) for kind in sorted(CONTROL_TYPES)}
        self._expired = [block.counter("expired_total", kind) for kind in ("user", "item")]
        self._odd = {kind: block.counter("odd_times_total", kind) for kind in (*UNITS, AHEAD)}
        self._rejected = {reason: block.counter("rejected_total", reason) for reason in REASONS}

    def applied(self, kinds: NDArray[np.uint16]) -> None:
        """Events of these kinds, indices of the types, were learned from."""
        _add(self._applied, kinds)

    def applied_before(self, kinds: NDArray[np.uint16]) -> None:
        """Events of these kinds came again."""
        _add(self._again, kinds)

    def duplicate(self, kinds: NDArray[np.uint16]) -> None:
        """Events of these kinds were sent twice."""
        _add(self._duplicate, kinds)

    def refused(self, kinds: NDArray[np.uint16]) -> None:
        """Events of these kinds name a user or an item that gets no row yet."""
        _add(self._refused, kinds)

    def forgotten(self, kinds: NDArray[np.uint16]) -> None:
        """Events of these kinds named what is forgotten."""
        _add(self._forgotten, kinds)

    def controls(self, controls: Sequence[Control]) -> None:
        """These were acted on."""
        for control in controls:
            self._controls[control.kind].add()

    def expired(self, users: int, items: int) -> None:
        """So many were forgotten, because they had no event for long."""
        for counter, number in zip(self._expired, (users, items), strict=True):
            if number:
                counter.add(number)

    def rejected(self, records: Sequence[Rejected]) -> None:
        """These were set aside."""
        for record in records:
            self._rejected[record.reason].add()

    def accepted(self, losses: Sequence[Loss]) -> None:
        """These losses are in the store, as accepted."""
        for loss in losses:
            times, events = self._losses[loss.reason]
            times.add()
            events.add(loss.events)

    def odd_times(self, units: Mapping[str, int], ahead: int) -> None:
        """So many events had a time in each of these units, and so many one ahead of the event clock."""
        for unit, number in units.items():
            self._odd[unit].add(number)
        if ahead:
            self._odd[AHEAD].add(ahead)

    def visible(self, times: NDArray[np.int64], now: float) -> None:
        """Events of these times (ms since the epoch) can be seen by queries since `now` (wall clock, s)."""
        ages = np.clip(now - times / 1000.0, 0.0, OLDEST)
        counts = np.bincount(np.searchsorted(self._bounds, ages), minlength=len(AGES) + 1)
        self._freshness.observe_all(counts.tolist(), float(ages.sum()))


def _add(counters: Sequence[Counter], kinds: NDArray[np.uint16]) -> None:
    for kind, number in enumerate(np.bincount(kinds).tolist()):
        if number:
            counters[kind].add(number)
