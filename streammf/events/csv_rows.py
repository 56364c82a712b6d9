"""One row of a CSV file of events as the JSON event that it stands for.

Rules of this file:
1. A row is a line. A quoted field may hold commas and quotes, no line break: a stray quote spoils one row, no more.
2. Nothing is rejected here: a row that is no event becomes JSON that `decode` rejects, with all that the row said.
"""

import csv
import math
from typing import Final

import msgspec

#: The header that a file must have; `type` may be left out.
HEADER: Final = "user,item,value,timestamp[,type]"
#: Header -> number of columns.
_HEADERS: Final = {b"user,item,value,timestamp": 4, b"user,item,value,timestamp,type": 5}
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_encode: Final = msgspec.json.Encoder().encode


def columns_of(header: bytes) -> int | None:
    """How many columns a file with this header has; None: not a header of events."""
    return _HEADERS.get(header.removeprefix(_BYTE_ORDER_MARK).strip())


def encode_row(line: bytes, columns: int) -> bytes:
    """The event in JSON. A row of another shape becomes a JSON array, which is no event whatever it holds."""
    try:
        text = line.decode().rstrip("\r")
        fields = next(csv.reader([text], strict=True)) if '"' in text else text.split(",")
    except (UnicodeDecodeError, csv.Error):
        return _encode([line.decode(errors="backslashreplace")])
    if len(fields) != columns:
        return _encode(fields)
    event = {"user": fields[0], "item": fields[1], "value": _number(fields[2]), "ts": _milliseconds(fields[3])}
    if columns == 5:
        event["type"] = fields[4]
    return _encode(event)


def _number(text: str) -> float | str:
    """The text itself where it is no finite number: the decoder then says so of the field."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _milliseconds(text: str) -> int | str:
    """From seconds, which may have a fraction. The text itself where they are no finite number of milliseconds."""
    seconds = _number(text)
    return text if isinstance(seconds, str) or math.isinf(seconds * 1000) else round(seconds * 1000)
