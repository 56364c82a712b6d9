"""What is fed with bytes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Target(NamedTuple):
    """One reader of bytes."""

    name: str
    good: Sequence[bytes]
    """Inputs that are read to their end: what others are made of."""
    feed: Callable[[bytes], str]
    """Read these bytes. Returns, in a word, what came of it; whatever it raises is a fault of ours."""
    words: Sequence[bytes] = ()
    """What is likely to mean something, wherever it stands."""
