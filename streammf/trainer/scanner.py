"""Plain events, read straight from the bytes of a batch: ids by where they stand, numbers as numbers, no object an event.

Rules of this file:
1. The codec says what an event is. Whatever is taken here, the codec takes too, with the same result, bit for bit; whatever
   is not plain is left to it, good or bad: escapes, letters beyond ASCII, nesting, exponents, a key twice, MessagePack.
2. It runs without the interpreter's lock: reading and decoding a batch costs the learner next to nothing.
3. A number is handed over as its digits and how many of them follow the point: one division then rounds as the codec does.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import types

from streammf.learning.arguments import array_type, tuple_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.tables import Array

#: Digits of a number at most: below 10¹⁵ a float64 holds every whole number, and the division rounds once.
MOST_DIGITS: Final = 15
#: Bytes of an id at most; as `events.event.MOST_ID_BYTES`.
MOST_ID: Final = 255

QUOTE, BACKSLASH, COLON, COMMA, OPEN, CLOSE = (ord(letter) for letter in '"\\:,{}')
MINUS, POINT, ZERO, NINE = (ord(letter) for letter in "-.09")
SPACE, TAB, LINE, RETURN = (ord(letter) for letter in " \t\n\r")
#: The keys of an event, the usual order first; -1: another key.
NAMES: Final = ("user", "item", "type", "value", "ts", "id")
USER, ITEM, TYPE, VALUE, TIME, ID = range(6)
#: Row of `begin` and `stop` that an event's id has.
ID_ROW: Final = 2
OTHER: Final = -1
KEYS: Final = np.frombuffer("".join(NAMES).encode(), np.uint8)
KEY_ENDS: Final = np.cumsum([len(name) for name in NAMES])


class Scanned(NamedTuple):
    """What stands in each of n records; only where `plain` is 1 does the rest mean anything."""

    plain: Array
    """uint8 (n,)"""
    begin: Array
    """int64 (3, n): where user, item and the event's own id begin in the text, and where they stop; no id: both are 0."""
    stop: Array
    kind: Array
    """uint16 (n,): index of the type's name."""
    digits: Array
    """int64 (n,): the value is digits / 10 ** after."""
    after: Array
    """uint8 (n,)"""
    time: Array
    """int64 (n,): ms since the epoch."""


@inner
def skip_space(text: Array, at: int, stop: int) -> int:
    """The first place from `at` on that is not white space."""
    while at < stop and (text[at] == SPACE or text[at] == LINE or text[at] == TAB or text[at] == RETURN):
        at += 1
    return at


@inner
def string_end(text: Array, at: int, stop: int) -> int:
    """Where the plain string whose first letter is at `at` ends: the place of its closing quote; -1: not plain."""
    while at < stop:
        letter = text[at]
        if letter == QUOTE:
            return at
        if letter < SPACE or letter == BACKSLASH or letter >= 128:
            return -1
        at += 1
    return -1


@inner
def index_of(names: Array, ends: Array, text: Array, at: int, stop: int) -> int:
    """Index of the name that text[at:stop] is; -1: of none. Name k is names[ends[k-1]:ends[k]]."""
    begin = 0
    for k in range(len(ends)):
        if ends[k] - begin == stop - at:
            same = True
            for i in range(stop - at):
                same = same and names[begin + i] == text[at + i]
            if same:
                return k
        begin = ends[k]
    return -1


@inner
def number_end(text: Array, at: int, stop: int) -> tuple[int, int, int]:
    """(where the plain number that begins at `at` ends, its digits as a whole number, how many of them follow the point).

    The end is -1 where it is not plain.
    """
    first = at
    number = 0
    point = -1
    while at < stop and at - first <= MOST_DIGITS + 1:
        if ZERO <= text[at] <= NINE:
            number = 10 * number + (text[at] - ZERO)
        elif text[at] == POINT and point < 0:
            point = at
        else:
            break
        at += 1
    after = 0 if point < 0 else at - point - 1
    whole = at - first if point < 0 else point - first
    if whole == 0 or whole + after > MOST_DIGITS or (whole > 1 and text[first] == ZERO) or (point >= 0 and after == 0):
        return -1, 0, 0
    return at, number, after


@inner
def take_number(text: Array, at: int, stop: int, key: int, out: Scanned, n: int) -> int:
    """Take the number at `at` for the key; where it ends, -1: not plain."""
    minus = text[at] == MINUS
    end, number, after = number_end(text, at + 1 if minus else at, stop)
    if minus and number == 0:  # -0.0 is not 0.0
        return -1
    if key == VALUE:
        out.digits[n] = -number if minus else number
        out.after[n] = after
    elif key == TIME:
        if minus or after > 0:
            return -1
        out.time[n] = number
    elif key != OTHER:
        return -1
    return end


@inner
def take_string(text: Array, at: int, stop: int, key: int, names: Array, ends: Array, out: Scanned, n: int) -> int:
    """Take the string whose quote is at `at` for the key; the place behind it, -1: not plain."""
    begin = at + 1
    close = string_end(text, begin, stop)
    if key in (USER, ITEM):
        if not 1 <= close - begin <= MOST_ID:
            return -1
        out.begin[key, n] = begin
        out.stop[key, n] = close
    elif key == TYPE:
        kind = index_of(names, ends, text, begin, close)
        if kind < 0:
            return -1
        out.kind[n] = kind
    elif key == ID:
        out.begin[ID_ROW, n] = begin
        out.stop[ID_ROW, n] = close
    elif key in (VALUE, TIME):
        return -1
    return close + 1 if close >= 0 else -1


@inner
def scan_record(text: Array, at: int, stop: int, names: Array, ends: Array, usual: int, out: Scanned, n: int) -> bool:
    """Read text[at:stop] as record n; False: not plain."""
    needed = 1 << USER | 1 << ITEM | 1 << TIME | (1 << TYPE if usual < 0 else 0)
    out.kind[n] = max(usual, 0)
    out.digits[n] = 1
    out.after[n] = 0
    out.begin[ID_ROW, n] = out.stop[ID_ROW, n] = 0
    met = 0
    at = skip_space(text, at, stop)
    mark = OPEN
    while at < stop and text[at] == mark:
        mark = COMMA
        at = skip_space(text, at + 1, stop)
        close = string_end(text, at + 1, stop) if at < stop and text[at] == QUOTE else -1
        key = index_of(KEYS, KEY_ENDS, text, at + 1, close)
        if close < 0 or (key != OTHER and met >> key & 1):
            return False
        met |= 1 << key if key != OTHER else 0
        at = skip_space(text, close + 1, stop)
        if at >= stop or text[at] != COLON:
            return False
        at = skip_space(text, at + 1, stop)
        if at < stop and text[at] == QUOTE:
            at = take_string(text, at, stop, key, names, ends, out, n)
        elif at < stop:
            at = take_number(text, at, stop, key, out, n)
        if at < 0:
            return False
        at = skip_space(text, at, stop)
    return at < stop and text[at] == CLOSE and met & needed == needed and skip_space(text, at + 1, stop) == stop


OUT: Final = tuple_type(
    [array_type("u1", 1), array_type("i8", 2), array_type("i8", 2), array_type("u2", 1), array_type("i8", 1),
     array_type("u1", 1), array_type("i8", 1)],
    Scanned,
)  # fmt: skip
TEXT, NUMBERS = array_type("u1", 1, readonly=True), array_type("i8", 1, readonly=True)


@kernel(types.void(TEXT, NUMBERS, TEXT, NUMBERS, types.int64, OUT), allocates=False)
def scan_records(text: Array, lengths: Array, names: Array, ends: Array, usual: int, out: Scanned) -> None:
    """Read every record; they stand in the text one after the other, as the names of the types do in theirs.

    usual: the kind where a record names none; -1: it has to.
    """
    stop = 0
    for n in range(len(lengths)):
        at = stop
        stop += lengths[n]
        out.plain[n] = scan_record(text, at, stop, names, ends, usual, out, n)


def scan(text: Array, lengths: Array, names: Array, ends: Array, usual: int) -> Scanned:
    """As `scan_records`, into new arrays."""
    n = len(lengths)
    places = np.empty((2, 3, n), np.int64)
    out = Scanned(
        plain=np.empty(n, np.uint8),
        begin=places[0],
        stop=places[1],
        kind=np.empty(n, np.uint16),
        digits=np.empty(n, np.int64),
        after=np.empty(n, np.uint8),
        time=np.empty(n, np.int64),
    )
    scan_records(text, lengths, names, ends, usual, out)
    return out
