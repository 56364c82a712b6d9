"""Questions to a server whose answers are known."""

import json
import re
from collections.abc import Iterator, Sequence

import pytest
from click.testing import CliRunner, Result

from streammf.cli.query import command
from streammf.errors import NoModelError
from streammf.serving import messages
from streammf.serving.dispatch import Outcome
from tests.serving.running import running

POSITION = [("clicks", 0, 7), ("clicks", 1, 9)]


def respond(requests: Sequence[messages.AnyRequest]) -> list[Outcome]:
    """A small model, asked for several things at once."""
    return [answer(request) for request in requests]


def answer(request: messages.AnyRequest) -> Outcome:
    """Everybody likes [bold]."""
    match request:
        case messages.Health():
            return messages.HealthAnswer(request.id, status="no_model", ready=False, reason="nothing yet")
        case messages.Info():
            return messages.InfoAnswer(
                id=request.id,
                position=POSITION,
                events=1234567,
                version="0",
                objective="ranking",
                users=2,
                items=3,
                clock=1_704_067_200_000,
                rejected=0,
                refused=0,
                committed=5,
                generation=1,
                trainer_pid=4321,
                pid=1234,
                quality=messages.Quality(
                    serving="popularity",
                    model="blend",
                    switched=1,
                    measured=77,
                    recent=60.0,
                    measures={"recent": {"blend": {"recall@10": 0.25}, "served": {"recall@10": 0.125}}},
                    leads={"popularity": 3.5},
                    lists={"coverage": 0.5},
                    weights={},
                ),
            )
        case messages.Predict():
            return messages.PredictAnswer(
                request.id, value=3.25, user_known=True, item_known=request.item != "odd", position=POSITION, events=7
            )
        case messages.Recommend():
            name = "-".join(request.items or [str(request.user)]) + ("" if request.exclude_seen else " seen")
        case messages.SimilarItems():
            name = f"like {request.item}"
        case _:
            return NoModelError("no trainer yet")
    items = [messages.RankedItem(f"[bold]{name} {n}", 1 / (n + 1), "factors") for n in range(request.k)]
    return messages.RankingAnswer(request.id, items=items, position=POSITION, events=7, reason="few_items")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(respond) as server:
        yield server.name


def ask(address: str, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--address", address])


def test_json_has_the_answers_own_fields(address: str) -> None:
    found = json.loads(ask(address, "recommend", "--user", "ann", "-k", "1", "--json").stdout)
    assert found == {
        "items": [{"item": "[bold]ann 0", "score": 1.0, "source": "factors", "sources": {}}],
        "reason": "few_items",
        "position": [["clicks", 0, 7], ["clicks", 1, 9]],
        "events": 7,
    }


def test_a_list_for_people_shows_ids_as_they_are_and_says_how_fresh_it_is(address: str) -> None:
    found = ask(address, "recommend", "--user", "ann", "-k", "2")
    assert found.exit_code == 0
    assert "[bold]ann 0" in found.stdout
    assert "0.5000" in found.stdout
    assert found.stdout.endswith("few_items; 7 events learned, up to clicks/0:7, clicks/1:9\n")


def test_a_visitors_items_and_seen_ones_are_asked_for(address: str) -> None:
    assert "[bold]50-181 seen 0" in ask(address, "recommend", "--items", "50,181", "--seen").stdout
    assert "either --user or --items" in ask(address, "recommend").stderr
    assert "either --user or --items" in ask(address, "recommend", "--user", "a", "--items", "b").stderr


def test_likenesses_and_predictions(address: str) -> None:
    assert "[bold]like 50 0" in ask(address, "similar", "--item", "50").stdout
    assert ask(address, "predict", "--user", "a", "--item", "b").stdout == "3.2500\n"
    assert ask(address, "predict", "--user", "a", "--item", "odd").stdout == "3.2500  (item unknown)\n"


def test_info_is_readable(address: str) -> None:
    found = ask(address, "info").stdout
    assert "1,234,567" in found
    assert "2024-01-01 00:00:00+00:00" in found
    assert "4321" in found
    assert re.search(r"serving +popularity", found)
    assert re.search(r"served +recall@10 0\.1250", found)
    assert json.loads(ask(address, "info", "--json").stdout)["quality"]["measures"]["recent"]["blend"] == {"recall@10": 0.25}


def test_health_without_a_model_is_told_and_is_exit_code_9(address: str) -> None:
    found = ask(address, "health", "--json")
    assert json.loads(found.stdout)["reason"] == "nothing yet"
    assert found.exit_code == 9


def test_a_refusal_is_the_clients_own_error(address: str) -> None:
    assert isinstance(ask(address, "popular").exception, NoModelError)


def test_an_address_that_is_none_is_a_matter_of_usage() -> None:
    assert "host:port" in ask("127.0.0.1:x", "health").stderr


def test_an_id_cannot_steer_the_terminal(address: str) -> None:
    found = ask(address, "recommend", "--user", "\x1b[31m\rann\n\u202eé", "-k", "1")
    assert r"[bold]\x1b[31m\rann\n\u202eé 0" in found.stdout
    told = json.loads(ask(address, "recommend", "--user", "\x1bann", "-k", "1", "--json").stdout)
    assert told["items"][0]["item"] == "[bold]\x1bann 0"
