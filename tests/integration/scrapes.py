"""What /metrics says, read as Prometheus reads it, and as the table that deploy/metrics.md must hold."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

#: A series: its name and its labels.
Series = tuple[str, tuple[tuple[str, str], ...]]


class Page(NamedTuple):
    """An answer over HTTP."""

    status: int
    text: str


def page(address: str, path: str) -> Page:
    """GET, whatever the status."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
            return Page(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Page(error.code, error.read().decode())


def families(text: str) -> list[Metric]:
    """The families of a scrape."""
    return list(text_string_to_metric_families(text))


def series(text: str) -> dict[Series, float]:
    """Every series and its value; none may come twice."""
    found = {}
    for family in families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(text: str, name: str, **labels: str) -> float:
    """The sum of the series of a name that have these labels."""
    return sum(number for (name_, have), number in series(text).items() if name_ == name and set(labels.items()) <= set(have))


def totals(text: str) -> dict[Series, float]:
    """What only ever rises: counters, and the counts and sums of histograms."""
    ends = ("_total", "_count", "_sum", "_bucket")
    return {key: number for key, number in series(text).items() if key[0].endswith(ends)}


def rows(text: str) -> Iterator[str]:
    """A line of Markdown for every family: name, type, labels, meaning."""
    for family in families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
        named = ", ".join(f"`{label}`" for label in sorted(labels))
        yield f"| `{name}` | {family.type} | {named} | {family.documentation} |"
