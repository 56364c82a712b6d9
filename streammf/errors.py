"""Every error that StreamMF raises on purpose, in one tree.

Rules of this file:
1. The first level says who is at fault: the one who configured it, the one who sent it, the surroundings, or we.
2. Every class has an exit code of its own name; a command that ends with an error ends with that code.
3. A message names the cause and the remedy in one line. The offending value travels in the message.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a StreamMF process says when it ends. 0 and 1 are the shell's; 2 is the command line's own (usage)."""

    DONE = 0
    FAILED = 1
    """An error that nobody foresaw; a traceback was printed."""
    USAGE = 2
    CONFIGURATION = 3
    """A setting is unknown, malformed or contradicts the store."""
    SOURCE = 4
    """The log of events cannot be read: no broker, no such topic, no such file."""
    DATA_LOSS = 5
    """The log no longer holds what the stored positions ask for, or is another log."""
    STORE = 6
    """The store cannot be opened, read or written."""
    STORE_BUSY = 7
    """Another trainer owns the store."""
    MEMORY = 8
    """The file system of the live memory is too small or cannot be written."""
    NO_MODEL = 9
    """There is no live model to serve, or no server that answers."""
    REFUSED = 10
    """The server refused the request."""
    CHILD = 11
    """A process that `up` keeps running died again and again."""
    STORE_FULL = 12
    """The file system of the store is full: goes on by itself once there is room."""
    DIVERGED = 13
    """The model diverged, and learning was stopped."""


class StreamMFError(Exception):
    """The root: catch this to catch everything that StreamMF raises on purpose."""

    exit_code = ExitCode.FAILED


class ConfigurationError(StreamMFError):
    """The one who configured it: a setting is unknown, out of range or contradicts what is stored."""

    exit_code = ExitCode.CONFIGURATION


class SourceError(StreamMFError):
    """The surroundings: the log of events cannot be reached or read, or a sink refuses what is written."""

    exit_code = ExitCode.SOURCE


class UnreachableError(SourceError):
    """The log does not answer. It may, later: everything else about it is in order as far as is known."""


class DataLossError(SourceError):
    """The log no longer holds the stored position, or is not the log that the position was taken from."""

    exit_code = ExitCode.DATA_LOSS


class StoreError(StreamMFError):
    """The surroundings: the store or a snapshot cannot be opened, read or written."""

    exit_code = ExitCode.STORE


class StoreBusyError(StoreError):
    """Another trainer owns the store."""

    exit_code = ExitCode.STORE_BUSY


class StoreFullError(StoreError):
    """The file system of the store, or of a snapshot, is full. What was committed is whole."""

    exit_code = ExitCode.STORE_FULL


class MemoryFullError(StreamMFError):
    """The surroundings: the file system of the live memory is too small, full or not writable."""

    exit_code = ExitCode.MEMORY


class DivergedError(StreamMFError):
    """The one who configured it: at these rates the model diverges. What was not committed is dropped."""

    exit_code = ExitCode.DIVERGED


class NoModelError(StreamMFError):
    """There is no live model to read yet, or no server where the client looked for one."""

    exit_code = ExitCode.NO_MODEL


class ProtocolError(StreamMFError):
    """The peer: a frame or a message that the protocol does not allow. The connection cannot go on."""

    exit_code = ExitCode.REFUSED


class RequestError(StreamMFError):
    """The peer: a well-framed request that cannot be answered. `code` is the protocol's own word for the reason."""

    exit_code = ExitCode.REFUSED

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ChildError(StreamMFError):
    """A process under supervision died again and again, or could not even start: then with its own exit code."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.CHILD) -> None:
        super().__init__(message)
        self.exit_code = exit_code
