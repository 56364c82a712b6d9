"""Chance without state: every draw is a pure function of what it is drawn for.

Rules of this file:
1. No generator is carried along: (seed, partition, offset, draw) gives a draw, (seed, id, column, position) a first value.
   So neither batch sizes nor crashes nor the order in which ids arrive can change a number.
2. Hashes of ids are keyed by the store's seed.
"""

from typing import Any, TypeAlias

import numpy as np
from numba import types

from streammf.learning.arguments import array_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.tables import Array

#: uint64. Inside kernels every number is one of numba's; annotations there tell the reader, not the checker.
U64: TypeAlias = Any


@inner
def mix(bits: U64) -> U64:
    """splitmix64's finaliser (Steele, Lea, Flood 2014): a bijection of 64 bits that spreads every bit over all."""
    x = np.uint64(bits) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@inner
def event_key(seed: int, partition: int, offset: int) -> U64:
    """The 64 bits from which all draws of one event follow."""
    return mix(np.uint64(mix(np.uint64(seed) ^ (np.uint64(partition) << np.uint64(40)))) ^ np.uint64(offset))


@inner
def draw(key: U64, number: int) -> U64:
    """Draw `number` of an event: 64 bits."""
    return mix(np.uint64(key) + np.uint64(number) * np.uint64(0xD1342543DE82EF95))


@inner
def below(bits: U64, bound: int) -> int:
    """An integer in [0, bound) from 64 bits; bound < 2**31 (bias below 2**-32)."""
    return int(np.int64(((np.uint64(bits) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)))


@inner
def unit(bits: U64) -> float:
    """A float64 in (0, 1) from 64 bits."""
    return (np.float64(np.uint64(bits) >> np.uint64(11)) + 0.5) / 9007199254740992.0


@inner
def hash_bytes(text: Array, start: int, stop: int, seed: U64) -> U64:
    """64 bits of text[start:stop], keyed by seed: FNV-1a (Fowler, Noll, Vo) from a keyed start, then mixed."""
    h = mix(np.uint64(seed)) ^ np.uint64(0xCBF29CE484222325)
    for i in range(start, stop):
        h = (h ^ np.uint64(text[i])) * np.uint64(0x100000001B3)
    return mix(h)


@kernel(types.void(array_type("f4", 2), types.int64, array_type("u8", 1), types.uint64, types.float64))
def fill_normal(column: Array, first: int, keys: Array, salt: U64, scale: float) -> None:
    """column[first + n] ~ N(0, scale²), a pure function of (keys[n], salt, position) (Box and Muller 1958).

    keys: uint64 (n,), the hashes of the rows' ids. Two draws give two numbers, so positions are filled in pairs.
    """
    for n in range(len(keys)):
        row = column[first + n]
        key = mix(keys[n] ^ mix(salt))
        for f in range(0, len(row), 2):
            radius = scale * np.sqrt(-2.0 * np.log(unit(draw(key, f))))
            angle = 2.0 * np.pi * unit(draw(key, f + 1))
            row[f] = radius * np.cos(angle)
            if f + 1 < len(row):
                row[f + 1] = radius * np.sin(angle)
