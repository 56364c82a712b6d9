"""What a log says of items and users stands in its place among the events, and is learned from in `evaluate` too."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from streammf.evaluation.run import Plan, run
from streammf.evaluation.triers import compile_for
from streammf.learning.options import LearningOptions
from tests.evaluation.logs import read
from tests.learning.worlds import made_up


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def click(user: str, item: str, ts: int) -> dict[str, Any]:
    return {"user": user, "item": item, "ts": ts}


def about(item: str, **fields: Any) -> dict[str, Any]:
    return {"type": "item", "item": item, "categories": ["c"], **fields}


def test_control_events_stand_at_their_own_time_or_at_that_of_what_came_before(tmp_path: Path) -> None:
    lines = [
        about("a"),
        click("u", "a", 30),
        about("b"),
        click("v", "b", 10),
        about("c", ts=20),
        about("d"),
        click("w", "c", 40),
    ]
    log = read(written(tmp_path / "log.jsonl", lines), LearningOptions())
    assert log.time.tolist() == [10, 30, 40]
    assert [(one.place, one.control.id) for one in log.told] == [(0, "a"), (1, "c"), (2, "b"), (2, "d")]
    assert [log.items.names(np.array([one.row], np.int32)) for one in log.told] == [["a"], ["c"], ["b"], ["d"]]
    assert log.rejected == 0
    assert [one.control.id for one in log.first(1).told] == ["a", "c"]


def test_what_is_said_is_learned_from_where_attributes_are(tmp_path: Path) -> None:
    world = made_up(0, 1_500, 40, 60)
    people = zip(world.user.tolist(), world.item.tolist(), world.time.tolist(), strict=True)
    events = [click(f"u{user}", f"i{item}", time) for user, item, time in people]
    told = [about(f"i{n}", categories=[f"c{n % 5}"]) for n in range(60)]
    found = {}
    for attributes in (0, 32):
        options = LearningOptions(attributes=attributes)
        compile_for(options)
        for name, lines in (("told", [*told, *events]), ("plain", events)):
            log = read(written(tmp_path / f"{name}.jsonl", lines), options)
            found[attributes, name] = run(log, options, Plan(every=3)).score.tobytes()
    assert found[0, "told"] != found[32, "told"]
    assert found[0, "plain"] == found[32, "plain"]
