"""The freshness benchmark in its short form: that its probes find what they say. Never how long anything takes."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from scripts.benchmarks import freshness
from scripts.benchmarks.probes import Clicks, Probed, probe
from streammf.serving.async_client import AsyncClient
from streammf.serving.results import Position, RankedItem, Ranking


@dataclass
class Answers:
    """A client whose answers are set before."""

    answers: list[Ranking]
    asked: list[object] = field(default_factory=list)

    async def recommend(self, user: str, **said: object) -> Ranking:
        self.asked.append(said.get("at_least"))
        return self.answers.pop(0)


class Clicked:
    """Writes every click to offset 6."""

    def write(self, user: str, item: str) -> "asyncio.Future[tuple[str, int, int]]":
        placed: asyncio.Future[tuple[str, int, int]] = asyncio.get_running_loop().create_future()
        placed.set_result(("topic", 0, 7))
        return placed


def answer(items: str, position: int) -> Ranking:
    return Ranking(tuple(RankedItem(name, 1.0, "factors") for name in items), None, (Position("topic", 0, position),), 1)


@pytest.mark.parametrize(
    ("after", "wrong"),
    [
        (answer("bc", 7), ""),
        (answer("bc", 9), ""),
        (answer("abc", 7), "a is still recommended"),
        (answer("bc", 6), "does not include"),
    ],
)
def test_a_probe_is_right_when_its_click_is_included_and_its_item_gone(after: Ranking, wrong: str) -> None:
    client, probed = Answers([answer("abc", 3), after]), Probed()
    asyncio.run(probe(cast(AsyncClient, client), cast(Clicks, Clicked()), "ann", probed))
    assert client.asked == [None, [("topic", 0, 7)]]
    assert len(probed.fresh) == 1
    assert [wrong in text for text in probed.wrong] == ([True] if wrong else [])


@pytest.mark.kafka
def test_a_short_run_reflects_every_click(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That every event of load and probes was learned once is checked in the run itself."""
    monkeypatch.setenv("STREAMMF_TEST_KAFKA", kafka)
    load = freshness.Load(rate=500, queries=20, seconds=2, warm_up=1)
    figures = {row.name: row.middle for row in freshness.run("scripts/bench freshness", load, 1).rows}
    assert figures["wrong answers"] == 0
    assert figures["probes"] == 20
    assert figures["click → answer reflects it: p50"] >= figures["of it, until Kafka acknowledges: p50"] > 0
