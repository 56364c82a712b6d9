"""From the records of a batch to columns that the model takes: plain events by the scanner, whatever else by the codec.

Rules of this file:
1. What comes out is what the codec alone would give, event for event, in the order of the records.
2. Ids stay where they stand: as places within one text.
3. A record that is not plain costs what it costs; it makes no other one dearer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from streammf.events import codec
from streammf.events.event import MOST_VALUE, Control, Event, Rejected, moved
from streammf.events.records import some
from streammf.events.source import Partition, Records
from streammf.state.ids import Texts, joined, packed
from streammf.trainer.scanner import ID_ROW, ITEM, USER, Scanned, scan

#: Powers of ten up to which float64 is exact.
TENS: Final = 10.0 ** np.arange(16)
#: The type of an event that names none.
USUAL: Final = Event(user="-", item="-").type


@dataclass(slots=True)
class Decoded:
    """The events of a batch that passed every check, in order; all columns have the same length n."""

    users: Texts
    items: Texts
    kinds: NDArray[np.uint16]
    """(n,) indices into the names of the types."""
    values: NDArray[np.float32]
    times: NDArray[np.int64]
    """(n,) ms since the epoch."""
    partitions: NDArray[np.int32]
    """(n,) indices into Source.partitions."""
    offsets: NDArray[np.int64]
    rejected: list[Rejected]
    """What did not pass, in order."""
    units: dict[str, int] = field(default_factory=dict)
    """Events whose time was in another unit, converted or rejected: unit → number."""
    ids: Texts | None = None
    """The events' own ids, empty where there is none; None: they were not asked for."""
    controls: list[Control] = field(default_factory=list)
    """The control events among them, in order."""

    def only(self, kept: NDArray[np.bool_]) -> "Decoded":
        """The events that `kept`, (n,), names; everything that was rejected stays."""
        return Decoded(
            users=_chosen(self.users, kept),
            items=_chosen(self.items, kept),
            kinds=self.kinds[kept],
            values=self.values[kept],
            times=self.times[kept],
            partitions=self.partitions[kept],
            offsets=self.offsets[kept],
            rejected=self.rejected,
            units=self.units,
            ids=None if self.ids is None else _chosen(self.ids, kept),
            controls=moved(self.controls, kept),
        )


class Decoder:
    """Decodes the batches of one source."""

    def __init__(
        self,
        partitions: Sequence[Partition],
        types: Sequence[str],
        value_range: tuple[float, float],
        *,
        convert_times: bool = False,
        with_ids: bool = False,
    ) -> None:
        """partitions: of the source. types: the names that `kinds` are indices of. The rest: see `codec.decode`."""
        self._convert_times = convert_times
        self._with_ids = with_ids
        self._partitions = partitions
        self._types = list(types)
        self._range = value_range
        names = [name.encode() for name in types]
        self._names = np.frombuffer(b"".join(names), np.uint8)
        self._ends = np.cumsum([len(name) for name in names], dtype=np.int64)
        self._usual = self._types.index(USUAL) if USUAL in self._types else -1

    def meet(self, partitions: Sequence[Partition]) -> None:
        """The source has more partitions now."""
        self._partitions = partitions

    def decode(self, records: Records) -> Decoded:
        """The events of a batch as columns, and what is not an event."""
        values = records.values
        if None in values:
            values = [value or b"" for value in values]
        text = b"".join(cast(Sequence[bytes], values))
        lengths = np.fromiter(map(len, cast(Sequence[bytes], values)), np.int64, len(values))
        scanned = scan(np.frombuffer(text, np.uint8), lengths, self._names, self._ends, self._usual)
        exact = scanned.digits / TENS[scanned.after]
        least, most = self._range
        numbers = exact.astype(np.float32)
        plain = scanned.plain.view(np.bool_) & (np.abs(exact) <= MOST_VALUE) & ~codec.other_units(scanned.time)
        plain &= (numbers >= least) & (numbers <= most)
        decoded = _decoded(records, text, scanned, numbers)
        if self._with_ids:
            decoded.ids = Texts(decoded.users.text, scanned.begin[ID_ROW], scanned.stop[ID_ROW])
        others = np.flatnonzero(~plain)
        return self._with_others(decoded, records, plain, others) if len(others) else decoded

    def _with_others(self, decoded: Decoded, records: Records, plain: NDArray[np.bool_], others: NDArray[np.intp]) -> Decoded:
        """The same with what the codec says of the records at `others`, in their places."""
        columns = codec.decode(
            some(records, others),
            self._partitions,
            self._types,
            self._range,
            convert_times=self._convert_times,
            with_ids=self._with_ids,
        )
        apart = {(record.partition, record.offset) for record in columns.rejected}
        named = [*zip(records.partitions[others].tolist(), records.offsets[others].tolist(), strict=True)]
        if columns.controls:
            places = {(control.partition, control.offset) for control in columns.controls}
            before = others[[place in places for place in named]].tolist()
            decoded.controls = [one._replace(before=n) for one, n in zip(columns.controls, before, strict=True)]
            apart |= {(self._partitions[number], offset) for number, offset in places}
        at = others[[(self._partitions[number], offset) not in apart for number, offset in named]]
        users, items = packed(columns.users), packed(columns.items)
        text = np.concatenate((decoded.users.text, users.text, items.text))
        _put(decoded.users, at, users, len(decoded.users.text))
        _put(decoded.items, at, items, len(decoded.users.text) + len(users.text))
        decoded.kinds[at] = [self._types.index(kind) for kind in columns.types]
        decoded.values[at] = columns.values
        decoded.times[at] = columns.times
        decoded.users, decoded.items = decoded.users._replace(text=text), decoded.items._replace(text=text)
        if decoded.ids is not None:
            ids = joined([text.encode() for text in columns.ids])  # unlike those of users and items these may hold a NUL
            _put(decoded.ids, at, ids, len(text))
            decoded.ids = decoded.ids._replace(text=np.concatenate((text, ids.text)))
        decoded.rejected, decoded.units = columns.rejected, columns.units
        kept = plain.copy()
        kept[at] = True
        return decoded if kept.all() else decoded.only(kept)


def _decoded(records: Records, text: bytes, scanned: Scanned, values: NDArray[np.float32]) -> Decoded:
    """What the scanner found, plain or not."""
    whole = np.frombuffer(text, np.uint8)
    return Decoded(
        users=Texts(whole, scanned.begin[USER], scanned.stop[USER]),
        items=Texts(whole, scanned.begin[ITEM], scanned.stop[ITEM]),
        kinds=scanned.kind,
        values=values,
        times=scanned.time,
        partitions=records.partitions,
        offsets=records.offsets,
        rejected=[],
    )


def _put(texts: Texts, at: NDArray[np.intp], others: Texts, moved: int) -> None:
    """Entries `at` become `others`, whose text begins `moved` bytes later now."""
    texts.begins[at] = others.begins + moved
    texts.stops[at] = others.stops + moved


def _chosen(texts: Texts, kept: NDArray[np.bool_]) -> Texts:
    return Texts(texts.text, texts.begins[kept], texts.stops[kept])
