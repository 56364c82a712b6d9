"""Who makes the inputs: atheris, which looks for such as reach new code, or Hypothesis, which cuts, joins and flips.

Rules of this file:
1. Both are given the target's good inputs and words, and a seed, and count what they tried.
2. The first input that is not read as it should be ends it; its bytes are kept in a file, and said.
"""

import importlib.util
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from scripts.fuzzing.target import Target

#: Modules in which atheris watches which code an input reaches. Kernels are not Python's.
WATCHED: Final = ("streammf.events", "streammf.serving", "streammf.state.manifest")
#: Inputs of Hypothesis between two looks at the clock.
AT_ONCE: Final = 500
#: Inputs between two counts that are written down: atheris ends a process without a word.
COUNTED_EVERY: Final = 64


class Tried(NamedTuple):
    """What came of one target."""

    inputs: int
    outcomes: dict[str, int]
    fault: str = ""
    """Why it ended early; empty: it did not."""


class Counted:
    """A target that counts, and keeps the input that it does not bear."""

    def __init__(self, target: Target, kept: Path) -> None:
        self.outcomes: Counter[str] = Counter()
        self.inputs = 0
        self._target = target
        self._kept = kept

    def feed(self, data: bytes) -> None:
        self.inputs += 1
        try:
            self.outcomes[self._target.feed(data)] += 1
        except BaseException:
            self._kept.write_bytes(data)
            raise


def has_atheris() -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec("atheris") is not None


def by_hypothesis(target: Target, seed: int, runs: int, seconds: float, kept: Path) -> Tried:
    """At least `runs` inputs, and until the seconds are over."""
    import hypothesis  # noqa: PLC0415 - one engine is enough
    from hypothesis import strategies as st  # noqa: PLC0415

    places = st.integers(0, 1 << 12)
    pieces = st.sampled_from([*target.words, *target.good]) | st.binary(max_size=8) if target.words else st.binary(max_size=8)
    changes = st.lists(st.tuples(places, st.integers(0, 12), pieces), max_size=6)
    inputs = st.binary(max_size=100) | st.builds(changed, st.sampled_from(target.good), changes)
    counted, deadline = Counted(target, kept), time.monotonic() + seconds
    while counted.inputs < runs or time.monotonic() < deadline:
        once = hypothesis.settings(
            max_examples=min(AT_ONCE, max(runs - counted.inputs, 1)) if not seconds else AT_ONCE,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        try:
            hypothesis.seed(seed + counted.inputs)(once(hypothesis.given(inputs)(counted.feed)))()
        except Exception as error:  # noqa: BLE001 - whatever it is: it is what is looked for
            return Tried(counted.inputs, dict(counted.outcomes), f"{type(error).__name__}: {error}")
    return Tried(counted.inputs, dict(counted.outcomes))


def changed(data: bytes, changes: Sequence[tuple[int, int, bytes]]) -> bytes:
    """At each place so many bytes are replaced by a piece."""
    for place, length, piece in changes:
        at = place % (len(data) + 1)
        data = data[:at] + piece + data[at + length :]
    return data


def by_atheris(name: str, seed: int, runs: int, seconds: float, folder: Path) -> None:
    """Does not return: libFuzzer ends the process. What it tried stands in `<folder>/tried.json`."""
    import atheris  # noqa: PLC0415 - where it installs

    with atheris.instrument_imports(include=list(WATCHED)):
        from scripts.fuzzing.targets import TARGETS  # noqa: PLC0415 - only now, so that what they import is watched

    target = TARGETS[name]
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(target.good):
        (corpus / str(number)).write_bytes(data)
    words = folder / "words"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words))
    counted = Counted(target, folder / "fault")

    def feed(data: bytes) -> None:
        counted.feed(data)
        if counted.inputs % COUNTED_EVERY == 0:
            (folder / "tried.json").write_text(json.dumps([counted.inputs, counted.outcomes]))

    limits = [*([f"-max_total_time={int(seconds)}"] if seconds else []), *([f"-runs={runs}"] if runs else [])]
    options = [f"-seed={seed}", *limits, f"-dict={words}", f"-artifact_prefix={folder}/", "-verbosity=0", "-max_len=8192"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], feed)
    atheris.Fuzz()


def tried(folder: Path) -> Tried:
    """What a process of `by_atheris` had tried when it last counted."""
    try:
        inputs, outcomes = json.loads((folder / "tried.json").read_text())
    except FileNotFoundError:
        return Tried(0, {})
    return Tried(inputs, outcomes)
