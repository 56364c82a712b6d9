"""Control events: what changes state other than by learning, from the bytes of a record.

Rules of this file:
1. A control event names what its type needs (DESIGN §5): `user` and `forget_user` a user, `item` and `delete_item` an item.
   Other fields than its own are ignored, as in events.
2. A null value is `forget_user` of the user that its key names.
3. A time that is no time does not spoil one: attributes hold at once, whatever the clock says.
"""

from typing import Annotated, Final

import msgspec

from streammf.events.event import MOST_ID_BYTES, MOST_TIME, NO_ATTRIBUTES, Attributes, Control, Id
from streammf.events.source import Records

#: Categories of one item or user, at most; and letters of a title.
MOST_CATEGORIES: Final = 32
MOST_TITLE: Final = 1024
#: What each type names.
NAMES: Final = {"item": "item", "delete_item": "item", "user": "user", "forget_user": "user"}

_FAILURES: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Wrong(Exception):
    """Why this is no control event: (reason, detail) of its rejection."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Written(msgspec.Struct):
    """A control event as producers write it."""

    type: str
    user: Id | None = None
    item: Id | None = None
    ts: int | None = None
    categories: Annotated[list[Id], msgspec.Meta(max_length=MOST_CATEGORIES)] = []
    segment: Id | None = None
    title: Annotated[str, msgspec.Meta(max_length=MOST_TITLE)] | None = None
    hidden: bool = False


_json: Final = msgspec.json.Decoder(_Written)
_msgpack: Final = msgspec.msgpack.Decoder(_Written)


def control_of(records: Records, i: int, *, json: bool) -> Control:
    """The control event that record i is, whose value says by its type that it is one, or is null.

    It stands before as many events as there are records before it. json: how the value is written. Raises Wrong.
    """
    value, time = records.values[i], records.timestamp(i)
    place = int(records.partitions[i]), int(records.offsets[i])
    if value is None:
        return _erasure(records.key(i), time, *place, i)
    try:
        written = (_json if json else _msgpack).decode(value)
    except _FAILURES as failure:
        raise Wrong("control", f"not a control event: {failure}"[:200]) from failure
    kind = written.type
    name = written.item if NAMES[kind] == "item" else written.user
    if name is None:
        raise Wrong("control", f"a control event of type {kind} names its {NAMES[kind]}")
    segments = [written.segment] if kind == "user" and written.segment is not None else []
    for text in (name, *written.categories, *segments):
        if "\0" in text:
            raise Wrong("control", f"{text[:64]!r}: a NUL byte")
        if len(text.encode()) > MOST_ID_BYTES:
            raise Wrong("control", f"{text[:64]!r}: more than {MOST_ID_BYTES} bytes of UTF-8")
    attributes = NO_ATTRIBUTES
    if kind in {"item", "user"}:
        categories = tuple(dict.fromkeys((*segments, *written.categories)))
        attributes = Attributes(categories, written.title, written.hidden and kind == "item")
    moment = time if written.ts is None else written.ts
    return Control(kind, name, attributes, *place, moment if 0 <= moment <= MOST_TIME else -1, i)


def _erasure(key: bytes | None, time: int, partition: int, offset: int, before: int) -> Control:
    try:
        name = (key or b"").decode()
    except UnicodeDecodeError as failure:
        raise Wrong("null", "a null value whose key is not UTF-8 names no user") from failure
    if not name or "\0" in name or len(name.encode()) > MOST_ID_BYTES:
        raise Wrong("null", f"a null value asks to forget the user of its key, and {name[:64]!r} names none")
    return Control("forget_user", name, NO_ATTRIBUTES, partition, offset, time if 0 <= time <= MOST_TIME else -1, before)
