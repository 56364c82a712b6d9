"""Whom and what a store was told to forget, as keyed hashes: so that an older snapshot cannot bring them back.

Rules of this file:
1. Kept is BLAKE2b of the id under a random key of the store's own, and which record asked. Who has the store can find out
   whether a given id was forgotten, and no more.
2. It becomes durable in the transaction in which the id goes, with the quarantined records that name it: those are left blank.
3. A snapshot holds what was forgotten until it was taken. What is restored over a store forgets, before anybody sees it, what
   the store was told after that: see restoring.py. What was cleared is kept once more, with the number of the clearing.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from streammf.events.event import Rejected
from streammf.learning.tables import Axis

if TYPE_CHECKING:
    import lmdb

#: Where, among the meta records, the key stands.
KEY: Final = b"forgetting key"
KEY_BYTES: Final = 32
HASH_BYTES: Final = 16
#: Ids of fewer bytes are looked for in quarantined records only as whole texts, not within others.
SHORT: Final = 8
#: What is said of a quarantined record that is blank.
BLANK: Final = "it named somebody or something that was forgotten"


class Erasure(NamedTuple):
    """What a record asks to be forgotten."""

    axis: Axis
    id: str
    topic: str
    partition: int
    topic_id: str
    offset: int
    """Of the record."""


class Forgotten(NamedTuple):
    """What is kept of one."""

    axis: Axis
    hash: bytes
    topic: str
    partition: int
    topic_id: str
    offset: int
    cleared: int = 0
    """Number, from 1, of the clearing that took it out of a restored snapshot; 0: it is what a record asked for."""


class Erased(NamedTuple):
    """What a commit has to do about what was forgotten since the last one."""

    entries: Sequence[Forgotten] = ()
    names: Callable[[Rejected], bool] | None = None
    """Whether a record that was quarantined before names any of it."""


#: Nothing was forgotten.
NONE: Final = Erased()


def erased(erasures: Sequence[Erasure], key: bytes) -> Erased:
    """The same of what records ask for, in a store of this key."""
    hashed = hasher(key)
    entries = [Forgotten(e.axis, hashed(e.axis, e.id.encode()), *e[2:]) for e in erasures]
    return Erased(entries, naming([e.id for e in erasures]) if erasures else None)


def hasher(key: bytes) -> Callable[[Axis, bytes], bytes]:
    """What hashes the ids of an axis under a key."""
    begun = [hashlib.blake2b(bytes([axis]), digest_size=HASH_BYTES, key=key) for axis in (Axis.USER, Axis.ITEM)]

    def hashed(axis: Axis, name: bytes) -> bytes:
        one = begun[axis].copy()
        one.update(name)
        return one.digest()

    return hashed


def remember(cursor: "lmdb.Cursor[bytes]", entries: Iterable[Forgotten]) -> None:
    """Write what is to be kept: of what records asked for the last one, of clearings each."""
    for entry in entries:
        cursor.put(bytes([entry.axis]) + entry.cleared.to_bytes(4) + entry.hash, msgspec.msgpack.encode(entry[2:-1]))


def remembered(cursor: "lmdb.Cursor[bytes]") -> Iterator[Forgotten]:
    """All that is kept."""
    for key, value in cursor:
        asked = msgspec.msgpack.decode(value, type=tuple[str, int, str, int])
        yield Forgotten(Axis(key[0]), key[5:], *asked, cleared=int.from_bytes(key[1:5]))


def blanked(records: Iterable[tuple[int, Rejected]], names: Callable[[Rejected], bool]) -> Iterator[tuple[int, Rejected]]:
    """Those that name what was forgotten, without what they hold."""
    for number, record in records:
        if names(record):
            yield number, Rejected(record.partition, record.offset, record.reason, BLANK, None, None, record.timestamp)


def blank_all(records: list[Rejected], names: Callable[[Rejected], bool]) -> None:
    """The same in place."""
    for number, record in [*blanked(enumerate(records), names)]:
        records[number] = record


def naming(ids: Sequence[str]) -> Callable[[Rejected], bool]:
    """What tells whether a record that could not be learned from holds one of these ids, whatever else is wrong with it."""
    keys = {name.encode() for name in ids}
    spelled = [one for name in ids for one in _spellings(name)]

    def names(record: Rejected) -> bool:
        value = record.value or b""
        return record.key in keys or any(one in value or one in (record.key or b"") for one in spelled)

    return names


def _spellings(name: str) -> Iterator[bytes]:
    """How an id stands in JSON and in MessagePack; a long one anyhow."""
    text = name.encode()
    yield msgspec.json.encode(name)
    yield json.dumps(name).encode()  # in ASCII, as many producers write it
    yield msgspec.msgpack.encode(name)
    if len(text) >= SHORT:
        yield text


def naming_hashed(hashes: set[bytes], hashed: Callable[[Axis, bytes], bytes]) -> Callable[[Rejected], bool]:
    """The same for ids of which only the hashes are known. Where not both can be read, it may hold any."""

    def names(record: Rejected) -> bool:
        if record.key and hashed(Axis.USER, record.key) in hashes:
            return True
        found = _decoded(record.value or b"")
        return any(
            not isinstance(name, str) or hashed(axis, name.encode(errors="surrogatepass")) in hashes
            for axis, name in ((Axis.USER, found.get("user")), (Axis.ITEM, found.get("item")))
        )

    return names


def _decoded(value: bytes) -> dict[str, Any]:
    for decode in (msgspec.json.decode, msgspec.msgpack.decode):
        try:
            found = decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return {}
