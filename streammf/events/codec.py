"""From the bytes of a batch to columns of events, and from an event to bytes.

Rules of this file:
1. Whatever bytes come, `decode` returns: what is neither an event nor a control event becomes a `Rejected` with its reason,
   and stops nothing.
2. A good batch costs one typed decode an event, and columns; everything else here is done once a batch.
3. What the decoder cannot check while it decodes (bytes of an id, NUL, known types, times) is checked on whole columns.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Final, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.events.controls import Wrong, control_of
from streammf.events.event import (
    CONTROL_TYPES,
    EARLIEST,
    MOST_ID_BYTES,
    MOST_TIME,
    MOST_VALUE,
    UNITS,
    Columns,
    Control,
    Event,
    Rejected,
    unit_of,
)
from streammf.events.source import Partition, Records

#: What msgspec raises on bad bytes: its own errors, but also bad UTF-8 and nesting beyond the interpreter's depth.
_FAILURES: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
#: The first byte of a JSON object, or the white space that JSON allows before it.
_JSON_STARTS: Final = frozenset(b"{ \t\n\r")
#: The first byte of a MessagePack map: fixmap, map 16, map 32.
_MSGPACK_STARTS: Final = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])
#: The field that an error of msgspec is about -> the reason of the rejection.
_REASONS: Final = {"user": "id", "item": "id", "id": "id", "type": "type", "value": "value", "ts": "time"}
#: Details are for people; a hostile record must not make them long.
_MOST_DETAIL: Final = 200

encode_json: Final[Callable[[Event], bytes]] = msgspec.json.Encoder().encode
encode_msgpack: Final[Callable[[Event], bytes]] = msgspec.msgpack.Encoder().encode


class _Typed(msgspec.Struct):
    """As much of a record as says whether it is a control event, which lacks fields that events have."""

    type: str = ""


_decode_json: Final[Callable[[bytes], Event]] = msgspec.json.Decoder(Event).decode
_decode_msgpack: Final[Callable[[bytes], Event]] = msgspec.msgpack.Decoder(Event).decode
_decode_json_type: Final[Callable[[bytes], _Typed]] = msgspec.json.Decoder(_Typed).decode
_decode_msgpack_type: Final[Callable[[bytes], _Typed]] = msgspec.msgpack.Decoder(_Typed).decode

#: Record's index -> (reason, detail).
_Faults = dict[int, tuple[str, str]]
#: Stands among the faults where a record is a control event: no event, and nothing wrong with it.
_CONTROL: Final = ("", "")
#: Stands where a record was rejected, so that columns keep one entry a record until the end.
_NOTHING: Final = Event(user="-", item="-", ts=0)


def decode(
    records: Records,
    partitions: Sequence[Partition],
    types: Collection[str],
    value_range: tuple[float, float] = (-MOST_VALUE, MOST_VALUE),
    *,
    convert_times: bool = False,
    with_ids: bool = False,
) -> Columns:
    """The events of a batch as columns, and what is not an event.

    partitions: of the source that gave the records. types: what `learning.types` allows. value_range: the least and the
    greatest value that the model can learn from (`learning.scale` for ratings). convert_times: take a time that is in
    another unit for what it means, instead of rejecting its event. with_ids: give the events' own ids, too.
    """
    faults: _Faults = {}
    events = _events(cast(Sequence[bytes], records.values), faults)
    users = [event.user for event in events]
    items = [event.item for event in events]
    kinds = [event.type for event in events]
    controls = _controls(kinds, records, faults)
    _check_ids("user", users, faults)
    _check_ids("item", items, faults)
    _check_types(kinds, frozenset(types), faults)
    values = np.array([event.value for event in events], np.float32)
    _check_values(values, value_range, faults)
    times = np.array(_times(events, records, faults), np.int64)
    units = _check_times(times, faults, convert=convert_times)
    columns = Columns(
        users=users,
        items=items,
        types=kinds,
        values=values,
        times=times,
        partitions=records.partitions,
        offsets=records.offsets,
        rejected=[],
        units=units,
        ids=[event.id or "" for event in events] if with_ids else [],
    )
    columns.controls = controls
    return _without(columns, records, partitions, faults) if faults else columns


def _events(values: Sequence[bytes], faults: _Faults) -> list[Event]:
    """One event a value. The format is asked for only where the one that held so far fails."""
    events: list[Event] = []
    add = events.append
    decoder = _decode_json
    remaining = iter(values)
    while True:
        try:
            for value in remaining:
                add(decoder(value))
        except (*_FAILURES, TypeError) as failure:  # TypeError: a null value
            value = values[len(events)]
            other = _decoder_of(value)
            if other is None or other is decoder:
                faults[len(events)] = _fault(value, failure)
                add(_NOTHING)
                continue
            decoder = other
            try:
                add(decoder(value))
            except _FAILURES as own_failure:
                faults[len(events)] = _fault(value, own_failure)
                add(_NOTHING)
        else:
            return events


def _decoder_of(value: bytes | None) -> Callable[[bytes], Event] | None:
    if not value:
        return None
    if value[0] in _JSON_STARTS:
        return _decode_json
    return _decode_msgpack if value[0] in _MSGPACK_STARTS else None


def _fault(value: bytes | None, failure: Exception) -> tuple[str, str]:
    """The reason and the detail for a value that no decoder takes for an event."""
    if value is None:
        return "null", ""  # what is to be said of it, _controls says
    if _decoder_of(value) is None:
        return "malformed", "neither a JSON object nor a MessagePack map" if value else "the record is empty"
    if _kind(value) in CONTROL_TYPES:
        return "control", ""
    detail = str(failure)[:_MOST_DETAIL]
    if isinstance(failure, msgspec.ValidationError):
        if detail.startswith("Object missing required field"):
            return "missing", detail
        if field := re.search(r"at `\$\.(\w+)`", detail):
            return _REASONS[field[1]], detail
    return "malformed", detail


def _kind(value: bytes) -> str:
    """The type that a record names, even where the rest of it is no event."""
    decoder = _decode_json_type if _decoder_of(value) is _decode_json else _decode_msgpack_type
    try:
        return decoder(value).type
    except _FAILURES:
        return ""


def _controls(kinds: Sequence[str], records: Records, faults: _Faults) -> list[Control]:
    """The control events of a batch: they are no faults any more, but what is wrong with one is."""
    found = {i for i, (reason, _) in faults.items() if reason in {"control", "null"}}
    if strange := set(kinds) & CONTROL_TYPES:
        found |= {i for i, kind in enumerate(kinds) if kind in strange}
    controls: list[Control] = []
    for i in sorted(found):
        try:
            controls.append(control_of(records, i, json=_decoder_of(records.values[i]) is _decode_json))
            faults[i] = _CONTROL
        except Wrong as wrong:
            faults[i] = wrong.reason, wrong.detail
    return controls


def _check_ids(name: str, ids: Sequence[str], faults: _Faults) -> None:
    """1..MOST_ID_BYTES characters each (the decoder saw to it): now bytes, and no NUL."""
    joined = "".join(ids)
    if joined.isascii() and "\0" not in joined:
        return
    for i, text in enumerate(ids):
        if "\0" in text:
            faults.setdefault(i, ("id", f"{name}: a NUL byte"))
        elif len(text) > MOST_ID_BYTES // 4 and (size := len(text.encode())) > MOST_ID_BYTES:
            faults.setdefault(i, ("id", f"{name}: {size} bytes of UTF-8, more than {MOST_ID_BYTES}"))


def _check_types(kinds: Sequence[str], known: frozenset[str], faults: _Faults) -> None:
    strange = set(kinds) - known
    if not strange:
        return
    allowed = ", ".join(sorted(known))[:_MOST_DETAIL]
    for i, kind in enumerate(kinds):
        if kind in strange:
            shown = kind[:_MOST_DETAIL]
            faults.setdefault(i, ("unknown_type", f"type {shown!r} is not among learning.types ({allowed})"))


def _check_values(values: NDArray[np.float32], value_range: tuple[float, float], faults: _Faults) -> None:
    least, most = value_range
    for i in np.flatnonzero((values < least) | (values > most)).tolist():
        faults.setdefault(i, ("value", f"{values[i]} is outside learning.scale = [{least:g}, {most:g}]"))


def _times(events: Sequence[Event], records: Records, faults: _Faults) -> list[int]:
    """Each event's own time, or its record's."""
    times = [event.ts for event in events]
    if None not in times:
        return cast(list[int], times)
    return [_record_time(records, i, faults) if time is None else time for i, time in enumerate(times)]


def _record_time(records: Records, i: int, faults: _Faults) -> int:
    time = records.timestamp(i)
    if 0 <= time <= MOST_TIME or unit_of(time):
        return time
    own = "the record has no time of its own" if time == -1 else f"the record's own timestamp is {time}"
    faults.setdefault(i, ("time", f"no ts, and {own}: give the event `ts`, ms since the epoch"))
    return 0


def other_units(times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) which of these may be in another unit than ms, or be no time at all."""
    odd: NDArray[np.bool_] = (times > MOST_TIME) | ((times >= EARLIEST // 1000) & (times <= MOST_TIME // 1000))
    return odd


def _check_times(times: NDArray[np.int64], faults: _Faults, *, convert: bool) -> dict[str, int]:
    """Convert in place or reject what is in another unit: unit → how many."""
    units: dict[str, int] = {}
    for i in np.flatnonzero(other_units(times)).tolist():
        if i in faults:
            continue
        time = int(times[i])
        unit = unit_of(time)
        if unit:
            units[unit] = units.get(unit, 0) + 1
        if unit and convert:
            times[i] = time * UNITS[unit] // 1_000_000
        elif unit:
            faults[i] = "time", f"{time} is a time in {unit}, not in ms: send ms since the epoch, or set trainer.convert_times"
        else:
            faults[i] = "time", f"{time} is no time in ms since the epoch (most: {MOST_TIME}), nor in another unit"
    return units


def _without(columns: Columns, records: Records, partitions: Sequence[Partition], faults: _Faults) -> Columns:
    """The columns without the faulty records, which stand in `rejected` instead, in order, and without the control events."""
    good = np.ones(len(columns.users), np.bool_)
    good[list(faults)] = False
    kept = columns.only(good)
    kept.rejected = [
        Rejected(
            partition=partitions[records.partitions[i]],
            offset=int(records.offsets[i]),
            reason=reason,
            detail=detail,
            value=records.values[i],
            key=records.key(i),
            timestamp=records.timestamp(i),
        )
        for i, (reason, detail) in sorted(faults.items())
        if reason
    ]
    return kept
