"""What is said of events that are probably meant otherwise."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from streammf.events.event import Event
from streammf.learning.compiling import ready
from streammf.trainer.remarks import CHOSEN
from tests.trainer.sources import ListedSource
from tests.trainer.test_loop import LEARNING, train


@pytest.fixture(autouse=True, scope="module")
def _kernels() -> None:
    ready()


@pytest.mark.parametrize(
    ("learning", "said"),
    [
        ({}, True),
        ({"positive_from": 4.0}, False),
        ({"objective": "rating"}, False),
        ({"types": {"click": 1.0, "rating": 0.0}}, False),
    ],
)
def test_ratings_that_are_learned_from_as_choices_are_remarked_on_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, learning: dict[str, Any], said: bool
) -> None:
    events = [Event(f"u{n}", "i", "click" if n < 10 else "rating", 3.0, 10**12 + n) for n in range(20)]
    train(tmp_path / "clicks", ListedSource(events[:10], most=4), msgspec.structs.replace(LEARNING, **learning))
    assert not caplog.records
    train(tmp_path, ListedSource(events, most=4), msgspec.structs.replace(LEARNING, **learning))
    assert [record.message for record in caplog.records] == [CHOSEN] * said
