"""The overview dashboard: Grafana's types, and rules that no type has. Whether its queries return data: test_queries.py."""

import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.deploy import files
from tests.programs import missing, program

TYPES = Path(__file__).parent / "grafanatypes"
PANELS: list[dict[str, Any]] = files.dashboard()["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]
OPTIONS = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--moduleResolution",
    "bundler",
    "--module",
    "esnext",
    "--target",
    "es2022",
]


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Grafana's types and the TypeScript compiler."""
    npm = program("npm", "Node.js with npm")
    folder = tmp_path_factory.mktemp("grafana") / "types"
    shutil.copytree(TYPES, folder)
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        missing(f"npm cannot install Grafana's types: {done.stderr.strip()}")
    return folder


def compiled(types: Path, text: str) -> "subprocess.CompletedProcess[str]":
    source = types / "overview.ts"
    source.write_text(f"import type {{ Overview }} from './dashboard';\nexport const overview: Overview = {text};\n")
    compiler = types / "node_modules" / "typescript" / "bin" / "tsc"
    command = [program("node", "Node.js"), str(compiler), *OPTIONS, source.name]
    return subprocess.run(command, cwd=types, capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
def test_it_is_what_grafana_takes_for_a_dashboard(types: Path) -> None:
    text = files.DASHBOARD.read_text()
    done = compiled(types, text)
    assert done.returncode == 0, done.stdout
    wrong = compiled(types, text.replace('"gridPos"', '"gridpos"').replace('"graphMode": "area"', '"graphMode": "aera"'))
    assert "gridpos" in wrong.stdout
    assert "aera" in wrong.stdout


def test_ids_and_titles_are_unique_and_every_panel_says_what_it_shows() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert all(len(panel["description"]) > 20 for panel in DRAWN)
    for panel in DRAWN:
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) > 0


def test_panels_fill_the_grid_and_do_not_overlap() -> None:
    cells = {
        panel["id"]: {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        for panel in PANELS
        if (at := panel["gridPos"])
    }
    assert not [(one, two) for one, two in combinations(cells, 2) if cells[one] & cells[two]]
    taken = set[tuple[int, int]]().union(*cells.values())
    assert taken == {(x, y) for x in range(24) for y in range(1 + max(y for _, y in taken))}


def test_every_panel_has_a_unit() -> None:
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in DRAWN} <= {
        "short",
        "ops",
        "reqps",
        "s",
        "percentunit",
        "bytes",
    }


def test_data_source_and_job_are_chosen_by_the_reader() -> None:
    variables = {variable["name"]: variable for variable in files.dashboard()["templating"]["list"]}
    assert set(variables) == {"datasource", "job"}
    assert variables["datasource"]["query"] == "prometheus"
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert all(each["datasource"] == source for panel in DRAWN for each in (panel, *panel["targets"]))
    assert variables["job"]["datasource"] == source
    for owner, expression in files.panel_queries():
        selectors = re.findall(r"streammf_\w+(\{[^}]*\})?", expression)
        assert all('job=~"$job"' in selector for selector in selectors), owner


def test_counters_are_seen_as_rates_over_the_readers_interval_and_nothing_else_is() -> None:
    kinds = files.documented_series()
    for owner, expression in files.panel_queries():
        for before, name, after in re.findall(r"(\w+\()?(streammf_\w+)\{[^}]*\}(\[[^]]*\])?", expression):
            rising = kinds.get(name) == "counter" or kinds.get(re.sub(r"_(bucket|sum|count)$", "", name)) == "histogram"
            assert (before in {"rate(", "increase("}) == rising, (owner, name)
            assert after in ({"[$__rate_interval]"} if before == "rate(" else {"[1h]"} if rising else {""}), (owner, name)
            assert ("histogram_quantile" in expression) == name.endswith("_bucket"), owner


def test_what_grafana_is_provisioned_with_fits_together() -> None:
    grafana = files.services("grafana/")["grafana"]
    mounts = dict(mount.split(":")[:2] for mount in grafana["volumes"])
    folder = files.DEPLOY / "grafana" / "provisioning"
    (source,) = files.read_yaml(folder / "datasources" / "prometheus.yml")["datasources"]
    (provider,) = files.read_yaml(folder / "dashboards" / "streammf.yml")["providers"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{files.DASHBOARD.name}"
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == files.read_yaml(files.PROMETHEUS)["global"]["scrape_interval"]
