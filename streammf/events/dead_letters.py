"""Rejected records on their way out: what is said of each, and a file that they are written to.

Rules of this file:
1. A record goes out whole, with the names that Kafka Connect's dead letter queues gave to where it came from and why it failed:
   what reads those reads ours.
2. Sending returns once everything is durable where it was sent. The caller may send the same record again; topic, partition
   and offset tell.
"""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from streammf.errors import SourceError
from streammf.events.event import Rejected

#: As org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter has it; all values are texts.
PREFIX: Final = "__connect.errors."

Numbered = tuple[int, Rejected]
"""A record and its number in the quarantine."""


class Outlet(Protocol):
    """Where dead letters are sent."""

    def send(self, records: Sequence[Numbered]) -> None:
        """Return once all of them are durable there. Raises SourceError: then some may be, and all are to be sent again."""
        ...

    def close(self) -> None:
        """Let go. Idempotent."""
        ...


def headers(record: Rejected) -> dict[str, str]:
    """Connect's headers of a record."""
    return {
        PREFIX + name: value
        for name, value in {
            "topic": record.partition.topic,
            "partition": str(record.partition.number),
            "offset": str(record.offset),
            "connector.name": "streammf",
            "task.id": "0",
            "stage": "VALUE_CONVERTER",
            "class.name": "streammf.events.codec",
            "exception.class.name": f"streammf.{record.reason}",
            "exception.message": record.detail,
        }.items()
    }


class DeadLetterFile:
    """A file of JSON, a line a record, only ever appended to."""

    def __init__(self, path: Path) -> None:
        """Raises SourceError where it cannot be written."""
        self._path = path
        self._file = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failed(error) from error

    def send(self, records: Sequence[Numbered]) -> None:
        """Append and sync."""
        lines = b"".join(
            msgspec.json.encode(as_object(number, record) | {"headers": headers(record)}) + b"\n" for number, record in records
        )
        try:
            # what a crash left of the last line is closed first, so that it spoils no other
            if (size := os.fstat(self._file).st_size) and not self._ends_a_line(size):
                lines = b"\n" + lines
            while lines:
                lines = lines[os.write(self._file, lines) :]
            os.fsync(self._file)
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Nothing is left to be written."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _ends_a_line(self, size: int) -> bool:
        with self._path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"

    def _failed(self, error: OSError) -> SourceError:
        return SourceError(f"dead letters cannot be written to {self._path} (dead_letters.path): {error.strerror}")


def as_object(number: int, record: Rejected) -> dict[str, Any]:
    """A record as JSON has it: its value as JSON where it is a JSON object, else as `text`, else as `base64`."""
    told: dict[str, Any] = {
        "number": number,
        "topic": record.partition.topic,
        "partition": record.partition.number,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "reason": record.reason,
        "detail": record.detail,
    }
    told |= {"key": None} if record.key is None else _bytes(record.key, "key", "key_base64")
    if record.value is None:
        return told | {"value": None}
    if (compact := _compacted(record.value)) is not None:
        return told | {"value": msgspec.Raw(compact)}
    return told | _bytes(record.value, "text", "base64")


def _compacted(value: bytes) -> bytes | None:
    """A JSON object on one line, every number as it was written; None: it is not one."""
    try:
        value.decode()
        return msgspec.json.format(value, indent=-1) if value.lstrip().startswith(b"{") else None
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return None


def _bytes(data: bytes, text: str, encoded: str) -> dict[str, str]:
    try:
        return {text: data.decode()}
    except UnicodeDecodeError:
        return {encoded: base64.b64encode(data).decode()}
