"""What Prometheus reads: the numbers of all processes that this one answers for, and of the live memory, as metric families.

Rules of this file:
1. It reads when it is asked, and keeps nothing: no total lives here, so none is lost here.
2. Every name is documented in deploy/metrics.md; a test compares the two both ways.
3. Labels are closed sets: slots, types, reasons, ops. Partitions are named up to a number, the others are one sum. Never a
   user, an item, an address or a text.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import streammf
from streammf.counters.block import Block, Family
from streammf.learning.tables import Table
from streammf.operations.readiness import TRAINER, WORKER, Sight, commit_age, present, role
from streammf.state.header import Header
from streammf.state.last_header import backed_bytes
from streammf.trainer.note import MOST_NAMED, End

PREFIX: Final = "streammf_"
#: Families of slots that are told in another form.
_TOLD_APART: Final = frozenset({"process_starts_total", "heartbeat", "snapshot_at", "snapshot_due_at"})
_PLACE: Final = ("topic", "partition")


class Exposition(Collector):
    """Answers a scrape. `look` finds out how things stand, `ready` judges it."""

    def __init__(
        self,
        look: Callable[[], Sight],
        ready: Callable[[Sight], bool],
        roles: frozenset[str],
        base: Path,
        store: Path,
        tables: Sequence[Table],
    ) -> None:
        self._look = look
        self._ready = ready
        self._roles = roles
        self._base = base
        self._store = store
        self._tables = tables

    def collect(self) -> Iterator[Metric]:
        """All families."""
        sight = self._look()
        yield _gauge("build_info", "1, with the version of StreamMF and of Python.", ("version", "python"), [
            ((streammf.__version__, platform.python_version()), 1.0)
        ])  # fmt: skip
        yield _gauge("ready", "1 where /readyz says so, else 0.", (), [((), float(self._ready(sight)))])
        yield from _processes(sight)
        yield from _counted(sight)
        if sight.header is not None:
            yield _gauge(
                "published_age_seconds",
                "Since the trainer last published: the age of what queries see.",
                (),
                [((), max(sight.now - sight.header.published_at, 0.0))],
            )
            if TRAINER in self._roles:
                yield from _model(sight, sight.header, self._tables)
                yield from _log(sight, sight.header)
        if TRAINER in self._roles:
            yield from _snapshots(sight)
            yield _gauge("live_memory_bytes", "Memory behind the live memory.", (), [((), float(backed_bytes(self._base)))])
            yield _gauge("store_bytes", "Disk behind the store's data file.", (), [((), float(_disk(self._store)))])


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _processes(sight: Sight) -> Iterator[Metric]:
    starts = CounterMetricFamily(PREFIX + "process_starts_total", "Times that a process was started.", labels=["process"])
    for slot, block in sight.slots.items():
        starts.add_metric([slot], block.value("process_starts_total"))
    yield starts
    yield _gauge(
        "process_up",
        "1 where a process has given a sign of life within some seconds, else 0.",
        ("process",),
        [((slot,), float(present(sight, slot))) for slot in sight.slots],
    )


def _counted(sight: Sight) -> Iterator[Metric]:
    """What the processes count; workers are told apart by their number."""
    for of_role, extra in ((TRAINER, ()), (WORKER, ("worker",))):
        found: dict[str, Metric] = {}
        for slot, block in sight.slots.items():
            if role(slot) != of_role:
                continue
            number = (slot.partition("-")[2],) if extra else ()
            for family in block.families:
                if family.name not in _TOLD_APART:
                    metric = found.setdefault(family.name, _empty(family, extra))
                    _fill(metric, family, block, number, absent=not present(sight, slot))
        yield from found.values()


def _empty(family: Family, extra: tuple[str, ...]) -> Metric:
    kind = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}[family.kind]
    metric: Metric = kind(PREFIX + family.name, family.help, labels=[*extra, *family.labels])
    return metric


def _fill(metric: Metric, family: Family, block: Block, number: tuple[str, ...], *, absent: bool) -> None:
    for labels, numbers in block.read(family):
        if isinstance(metric, HistogramMetricFamily):
            below, buckets = 0.0, []
            for bound, count in zip((*map(str, family.buckets), "+Inf"), numbers, strict=False):
                below += count
                buckets.append((bound, below))
            metric.add_metric([*number, *labels], buckets, numbers[-1])
        elif isinstance(metric, GaugeMetricFamily):
            metric.add_metric([*number, *labels], 0.0 if absent else numbers[0])  # who is gone holds nothing open
        elif isinstance(metric, CounterMetricFamily):
            metric.add_metric([*number, *labels], numbers[0])


def _model(sight: Sight, header: Header, tables: Sequence[Table]) -> Iterator[Metric]:
    for name, text, value in (
        ("model_events", "Events in the model that queries see, those of earlier runs included.", header.events),
        ("committed_events", "The same, of the last commit.", header.committed_events),
        ("commit_age_seconds", "Since the last commit; 0 where all that was applied is durable.", commit_age(sight)),
        ("generation", "Number of the live memory; a trainer's start begins a new one.", header.generation),
    ):
        yield _gauge(name, text, (), [((), float(value))])
    known = [*header.known, *header.counts[len(header.known) :]]
    rows = [((table.name,), float(known[table.axis])) for table in tables]
    yield _gauge("rows", "Rows in use, without those of users and items that were forgotten.", ("table",), rows)


def _snapshots(sight: Sight) -> Iterator[Metric]:
    """How old the newest snapshot is, and how long the next one has been waited for."""
    block = sight.slots.get(TRAINER)
    if block is None:
        return
    at, due_at = block.value("snapshot_at"), block.value("snapshot_due_at")
    late = max(sight.now - due_at, 0.0) if due_at and present(sight, TRAINER) else 0.0
    ages = [((), max(sight.now - at, 0.0))] if at else []
    yield _gauge("snapshot_age_seconds", "Since the newest snapshot of this store was written.", (), ages)
    yield _gauge("snapshot_overdue_seconds", "Since a snapshot became due that is not there yet; else 0.", (), [((), late)])


def _log(sight: Sight, header: Header) -> Iterator[Metric]:
    """Position, ends and lag of each partition."""
    positions = {(topic, number): offset for topic, number, offset in header.positions}
    named = sorted(positions)[:MOST_NAMED]
    reached = {(topic, str(number)): positions[topic, number] for topic, number in named}
    if len(positions) > len(named):
        reached["others", ""] = sum(positions.values()) - sum(reached.values())
    ends = {(end.topic, str(end.partition)): end for end in sight.note.ends}
    if sight.note.others is not None:
        ends["others", ""] = sight.note.others
    both = [(place, reached[place], _not_before(reached[place], end)) for place, end in ends.items() if place in reached]
    for name, text, samples in (
        ("position", "The next offset to be learned.", reached.items()),
        ("log_end", "The next offset to be written, open transactions included.", ((p, e.end) for p, _, e in both)),
        ("log_readable", "Up to where the log can be read: before an open transaction.", ((p, e.readable) for p, _, e in both)),
        ("lag_messages", "From the position to the log's end.", ((p, e.end - at) for p, at, e in both)),
        (
            "lag_seconds",
            "Age of the newest event learned, where the position is not at the log's end; else 0.",
            ((p, _behind(sight, at, e)) for p, at, e in both),
        ),
    ):
        yield _gauge(name, text, _PLACE, ((place, float(value)) for place, value in samples))


def _not_before(position: int, end: End) -> End:
    """The log is looked at every few seconds; since then it has grown at least to the position."""
    return msgspec.structs.replace(end, end=max(end.end, position), readable=max(end.readable, position))


def _behind(sight: Sight, position: int, end: End) -> float:
    if end.end <= position:
        return 0.0
    newest = end.clock / 1000 if end.clock else sight.note.since  # nothing was learned from it yet
    return max(sight.now - newest, 0.0)


def _disk(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0
