"""What deploy/ says, read for its tests."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
COMPOSE: Final = ROOT / "docker-compose.yml"
DOCKERFILE: Final = DEPLOY / "Dockerfile"
README: Final = DEPLOY / "README.md"
DASHBOARD: Final = DEPLOY / "grafana" / "dashboards" / "overview.json"
ALERTS: Final = DEPLOY / "alerts.yml"
PROMETHEUS: Final = DEPLOY / "prometheus.yml"
METRICS: Final = DEPLOY / "metrics.md"

Json = dict[str, Any]


def compose() -> Json:
    """docker-compose.yml, merged but not interpolated."""
    return dict(yaml.safe_load(COMPOSE.read_text()))


def services(image: str = "") -> dict[str, Json]:
    """Its services; those of one image."""
    return {name: dict(each) for name, each in compose()["services"].items() if each["image"].startswith(image)}


def read_yaml(path: Path) -> Json:
    return dict(yaml.safe_load(path.read_text()))


def dashboard() -> Json:
    return dict(json.loads(DASHBOARD.read_text()))


class Query(NamedTuple):
    """One expression, and who asks it."""

    owner: str
    expression: str


def panel_queries() -> Iterator[Query]:
    """Every query of the dashboard, variables and all."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield Query(f"panel {panel['title']!r}, {target['refId']}", target["expr"])


def alerts() -> Iterator[Query]:
    """Every alert's expression."""
    for group in read_yaml(ALERTS)["groups"]:
        for rule in group["rules"]:
            yield Query(rule["alert"], rule["expr"])


def without_comparison(alert: str) -> str:
    """What an alert looks at, whether or not it is bad just now."""
    return re.sub(r"\s*(==|>|<)\s*[\d.]+\s*$", "", alert)


def documented_series() -> dict[str, str]:
    """Name → type, of the table in metrics.md."""
    return dict(re.findall(r"^\| `(streammf_\w+)` \| (\w+) \|", METRICS.read_text(), re.MULTILINE))
