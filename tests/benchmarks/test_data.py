"""The events that benchmarks run on."""

import numpy as np

from scripts.benchmarks.data import zipf_events
from streammf.events.codec import decode
from streammf.events.records import one_partition
from streammf.events.source import Partition

PARTITION = Partition("made-up", 0)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    one, again, other = (list(zipf_events(100, seed).values_of_records()) for seed in (1, 1, 2))
    assert one == again != other


def test_every_event_is_one_that_the_trainer_takes() -> None:
    events = zipf_events(1000)
    keys, values, times = zip(*events.values_of_records(), strict=True)
    columns = decode(one_partition(PARTITION, 0, values, times, keys), [PARTITION], {"rating"}, (1.0, 5.0))
    assert not columns.rejected
    assert (columns.users, columns.items) == (events.users, events.items)
    assert columns.values.tolist() == events.values.tolist()
    assert columns.times.tolist() == events.times.tolist()


def test_popular_items_are_as_popular_as_zipf_says() -> None:
    items = zipf_events(50_000, items=100).items
    counts = np.array([items.count(f"item-{n:05d}") for n in (0, 1, 9)])
    assert np.allclose(counts[0] / counts[1:], (2, 10), rtol=0.15)
