"""The stack of docker-compose.yml, run without containers: every query of the dashboard and of the alerts returns data."""

from collections.abc import Iterator

import pytest

from streammf.serving.client import Client
from tests.deploy import files
from tests.deploy.stack import Stack, stack
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(300)
#: What Grafana puts in its place; ten scrapes.
INTERVAL = "10s"


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("deployed"), kafka) as running:
        yield running


def filled_in(expression: str) -> str:
    """As Grafana sends it, all jobs chosen."""
    filled = expression.replace("$job", ".+").replace("$__rate_interval", INTERVAL)
    assert "$" not in filled
    return filled


def test_every_query_of_the_dashboard_returns_data(running_stack: Stack) -> None:
    queries = list(files.panel_queries())
    assert len(queries) > 30

    def answered() -> bool:
        silent = [owner for owner, expression in queries if not running_stack.numbers(filled_in(expression))]
        assert not silent
        return True

    wait_for(answered, "data for every query", 60, pause=0.5)


def test_what_every_alert_looks_at_is_there_and_no_alert_fires(running_stack: Stack) -> None:
    alerts = list(files.alerts())

    def answered() -> bool:
        silent = [owner for owner, expression in alerts if not running_stack.numbers(files.without_comparison(expression))]
        assert not silent
        return True

    wait_for(answered, "data for every alert", 60, pause=0.5)
    rules = [rule for group in running_stack.ask("rules")["groups"] for rule in group["rules"]]
    assert {(rule["name"], rule["health"], rule["state"]) for rule in rules} == {
        (owner, "ok", "inactive") for owner, _ in alerts
    }


def test_both_targets_are_scraped_and_ready(running_stack: Stack) -> None:
    wait_for(lambda: sorted(running_stack.numbers("streammf_ready")) == [1.0, 1.0], "both to be ready")
    assert {target["health"] for target in running_stack.ask("targets")["activeTargets"]} == {"up"}


def test_the_shop_is_sold_to_and_asked_about(running_stack: Stack) -> None:
    with Client(running_stack.workers) as client:
        wait_for(lambda: client.info().events > 200, "the shop's clicks to be learned")
        assert all(item.item.startswith("film-") for item in client.popular(k=5))
    answered = 'sum(streammf_queries_total{op="recommend",outcome="ok"})'
    wait_for(lambda: running_stack.numbers(answered) > [5.0], "the shop's questions to be answered")
