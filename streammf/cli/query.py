"""`streammf query`: questions to a running server.

Rules of this file:
1. It asks over the socket as any client does, and imports nothing that computes.
2. JSON has the answer's own fields; tables are for people, and only they load rich and escape what a terminal would obey.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec

import click
import msgspec

from streammf.cli.flags import config_flag, json_flag
from streammf.cli.printable import printable
from streammf.errors import ExitCode
from streammf.operations.configuration import load
from streammf.serving.client import Client
from streammf.serving.options import ServingOptions
from streammf.serving.results import Health, Info, Position, Quality, Ranking

P = ParamSpec("P")

EXAMPLES = """\b
Examples:
  streammf query recommend --user 405 -k 10
  streammf query recommend --items 50,181 --json
  streammf query similar --item 50
  streammf query predict --user 405 --item 50
  streammf query health"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Ask a running server: recommendations, predictions, and how it is."""


def asking(function: Callable[Concatenate[Client, bool, P], None]) -> Callable[..., None]:
    """Give a command its client and the flags that every question has."""

    def run(file: str | None, address: tuple[str, ...], as_json: bool, *given: P.args, **named: P.kwargs) -> None:
        try:
            client = Client(list(address) or _address(file))
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        with client:
            function(client, as_json, *given, **named)

    run.__doc__, run.__name__ = function.__doc__, function.__name__
    for flag in (json_flag, config_flag, _address_flag):
        run = flag(run)
    return run


_address_flag = click.option(
    "--address", multiple=True, metavar="HOST:PORT", help="Server, repeatable. Default: serving.host and serving.port."
)
_count_flag = click.option(
    "-k", "count", type=click.IntRange(1), default=10, show_default=True, help="Items to list, up to serving.most_k."
)


@command.command(epilog=EXAMPLES)
@click.option("--user", help="Whom to recommend for.")
@click.option("--items", help="Or: what an anonymous visitor has had, with commas.")
@click.option("--seen", is_flag=True, help="List items too that the user has had.")
@_count_flag
@asking
def recommend(client: Client, as_json: bool, user: str | None, items: str | None, seen: bool, count: int) -> None:
    """Items for a user, or for somebody who has had some items."""
    if (user is None) == (items is None):
        raise click.UsageError("give either --user or --items")
    had = None if items is None else [item for item in items.split(",") if item]
    _show_ranking(client.recommend(user, items=had, k=count, exclude_seen=not seen), as_json)


@command.command()
@click.option("--item", required=True, help="The item to compare with.")
@_count_flag
@asking
def similar(client: Client, as_json: bool, item: str, count: int) -> None:
    """Items like an item."""
    _show_ranking(client.similar_items(item, count), as_json)


@command.command()
@_count_flag
@asking
def popular(client: Client, as_json: bool, count: int) -> None:
    """Items that most people like now."""
    _show_ranking(client.popular(count), as_json)


@command.command()
@click.option("--user", required=True, help="Whose opinion.")
@click.option("--item", required=True, help="On which item.")
@asking
def predict(client: Client, as_json: bool, user: str, item: str) -> None:
    """What a user thinks of an item."""
    prediction = client.predict(user, item)
    if as_json:
        return _show_json(asdict(prediction))
    unknown = [name for name, known in (("user", prediction.user_known), ("item", prediction.item_known)) if not known]
    note = f"  ({' and '.join(unknown)} unknown)" if unknown else ""
    return click.echo(f"{prediction.value:.4f}{note}")


@command.command()
@asking
def health(client: Client, as_json: bool) -> None:
    """How the server is. Exit code 9 where it has no model."""
    found = client.health()
    _show_facts(found, as_json)
    if not found.ready:
        click.get_current_context().exit(ExitCode.NO_MODEL)


@command.command()
@asking
def info(client: Client, as_json: bool) -> None:
    """What the server has learned."""
    _show_facts(client.info(), as_json)


def _address(file: str | None) -> str:
    """Where the configured server listens, as a client on this machine reaches it."""
    options = load(file).of(ServingOptions)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    return f"[{host}]:{options.port}" if ":" in host else f"{host}:{options.port}"


def _show_json(answer: dict[str, Any]) -> None:
    if "position" in answer:
        answer = answer | {"position": [list(entry) for entry in answer["position"]]}
    if "items" in answer and isinstance(answer["items"], tuple):
        answer = answer | {"items": [entry._asdict() for entry in answer["items"]]}
    click.echo(msgspec.json.encode(answer).decode())


def _show_ranking(ranking: Ranking, as_json: bool) -> None:
    if as_json:
        return _show_json(asdict(ranking))
    rows = [(str(place), entry.item, f"{entry.score:.4f}", entry.source) for place, entry in enumerate(ranking, 1)]
    _show_table(("", "item", "score", "source"), rows)
    said = f"{ranking.events:,} events learned, up to {_position(ranking.position)}"
    return click.echo(f"{ranking.reason}; {said}" if ranking.reason else said)


def _show_facts(facts: Health | Info, as_json: bool) -> None:
    answer = asdict(facts)
    if as_json:
        return _show_json(answer)
    answer["position"] = _position(facts.position)
    if "clock" in answer:
        answer["clock"] = datetime.fromtimestamp(answer["clock"] / 1000, UTC).isoformat(" ", "seconds")
    if isinstance(facts, Info):
        answer = {name: value for name, value in answer.items() if name != "quality"} | _of_quality(facts.quality)
    return _show_table(("", ""), [(name, _in_words(name, value)) for name, value in answer.items()])


def _of_quality(quality: Quality | None) -> dict[str, object]:
    """What serves, and the recent measures of every method; the rest is in the JSON."""
    if quality is None:
        return {}
    facts: dict[str, object] = {"serving": quality.serving, "measured": quality.measured}
    for method, measures in quality.measures.get("recent", {}).items():
        facts[method] = ", ".join(f"{measure} {value:.4f}" for measure, value in measures.items())
    return facts | {name: f"{value:.1%}" for name, value in quality.lists.items()}


def _in_words(name: str, value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3f} s"
        case int():
            return str(value) if name.endswith("pid") else f"{value:,}"
        case _:
            return str(value)


def _position(position: Iterable[Position]) -> str:
    return ", ".join(f"{printable(topic)}/{partition}:{offset}" for topic, partition, offset in position) or "nothing"


def _show_table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - programs that ask for JSON do not wait for it
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, show_header=any(heads), pad_edge=False)
    for head in heads:
        table.add_column(head, justify="right" if head == "score" else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    # an id is what somebody sent: [bold] in it is no markup, :smile: no picture
    Console(markup=False, emoji=False, highlight=False).print(table)
