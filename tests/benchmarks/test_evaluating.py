"""What the benchmark of evaluating measures: three durations of one log, each of its own work."""

from pathlib import Path

from scripts.benchmarks.evaluating import measured
from streammf.evaluation.triers import compile_for
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from tests.evaluation import logs


def test_reading_learning_and_evaluating_are_timed_apart(tmp_path: Path) -> None:
    options = LearningOptions(objective="rating")
    compile_for(options)
    ready(options.part)
    assert all(duration > 0 for duration in measured(logs.ratings(tmp_path), options))
