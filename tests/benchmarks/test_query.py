"""The query benchmark in its short form: that it measures what it says. Never how long anything takes."""

from contextlib import closing
from pathlib import Path

import pytest

from scripts.benchmarks import query
from scripts.benchmarks.asking import ask, questions
from scripts.benchmarks.shop import name_of_user, open_shop
from streammf.learning.options import LearningOptions
from streammf.serving.client import Client

SMALL = query.Size(runs=2, seconds=0.2, questions=20, items=300, users=50, many_items=400, scanned=(3, 3))


def test_a_short_run_finds_every_figure() -> None:
    """That all scans find the same items is checked where they are measured."""
    pytest.importorskip("faiss")
    pytest.importorskip("implicit")
    report = query.run("scripts/bench query", SMALL)
    figures = {row.name: row for row in report.rows}
    for setting in ("gradient factors", "blend"):
        assert figures[f"{setting}, one client: p50"].middle > 0
        assert figures[f"{setting}, 16 clients"].middle > 0
    assert figures["300 items: ours"].middle > 0
    ratio = figures["400 items: ours / FAISS flat"]
    assert ratio.bar is not None
    assert ratio.runs == pytest.approx(
        [ours / faiss for ours, faiss in zip(figures["400 items: ours"].runs, figures["400 items: faiss"].runs, strict=True)]
    )


def test_a_shop_knows_every_user_and_item_and_clients_ask_each_when_answered(tmp_path: Path) -> None:
    options = LearningOptions(factors=8)
    with (
        closing(open_shop(tmp_path, users=20, items=60, clicks=500, options=options)),
        query.worker(tmp_path) as (address, pid),
    ):
        with Client(address) as client:
            assert (client.info().users, client.info().items, client.info().pid) == (20, 60, pid)
            assert len(client.recommend(name_of_user(0), k=5).items[0].sources) > 1  # who is unknown gets what is popular alone
        asking = ask(address, pid, questions(20, 5), clients=4, seconds=0.2)
        assert asking.answers == len(asking.latencies) > 0
        with pytest.raises(ConnectionError, match="no answer"):
            ask(address, pid, questions(20, 5000), clients=1, seconds=0.2)
