"""What lies in deploy/monitoring and docs is what is described, and what Grafana and the operator read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import DEPLOY, documents, render
from tfcanary.adapters.kube import manifests
from tfcanary.adapters.kubeclient import object_names
from tfcanary.core.domain import ModelVersion, RunningPool
from tfcanary.core.plan import Plan
from tfcanary.run.monitor.__main__ import files, main, page
from tfcanary.run.monitor.dashboard import SCHEMA, dashboard
from tfcanary.run.monitor.metric_table import TABLE
from tfcanary.run.monitor.monitors import SCRAPE_TARGETS
from tfcanary.run.monitor.recordings import RECORDINGS
from tfcanary.run.monitor.rules import ALERTS

Json = dict[str, Any]
DOCS = DEPLOY.parent / "docs" / "monitoring.md"
VARIABLE = re.compile(r"\$\{?(\w+)")
OURS = re.compile(r"\btfcanary(?:_[a-z_]+|:[a-z_:]+[a-z0-9]+)\b")
GRAFANAS = {"__rate_interval", "datasource"}


@pytest.mark.parametrize("name", files())
def test_a_file_is_fresh(name: str) -> None:
    assert (DEPLOY / "monitoring" / name).read_text(encoding="utf-8") == files()[name], "run `python -m tfcanary.run.monitor`"


def test_nothing_else_lies_there() -> None:
    assert {one.name for one in (DEPLOY / "monitoring").iterdir()} == {*files()}


def test_the_page_about_monitoring_is_fresh() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert page(text) == text, "run `python -m tfcanary.run.monitor`"


def test_the_command_writes_what_is_there(tmp_path: Path) -> None:
    copy = tmp_path / "monitoring.md"
    copy.write_text(DOCS.read_text(encoding="utf-8"), encoding="utf-8")
    main(tmp_path / "made", copy)
    assert {one.name: one.read_text(encoding="utf-8") for one in (tmp_path / "made").iterdir()} == files()


def test_a_page_without_its_places_is_refused() -> None:
    with pytest.raises(SystemExit, match="no place for metrics"):
        page("# Monitoring")


def panels() -> Iterator[Json]:
    return (one for one in dashboard()["panels"] if one["type"] != "row")


def test_no_two_panels_lie_on_each_other_and_each_fits_the_page() -> None:
    taken: set[tuple[int, int]] = set()
    for one in dashboard()["panels"]:
        place = one["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, one["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({one["id"] for one in dashboard()["panels"]}) == len(dashboard()["panels"])


def test_the_dashboard_is_of_the_schema_that_grafana_10_reads() -> None:
    whole = dashboard()
    assert whole["schemaVersion"] == SCHEMA == 39
    assert json.loads(files()["dashboard.json"]) == whole
    assert {one["name"] for one in whole["templating"]["list"]} == {"datasource", "namespace", "model", "criterion"}
    for one in panels():
        assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert one["description"]
        assert one["title"]
        assert len({target["refId"] for target in one["targets"]}) == len(one["targets"])


def test_every_variable_is_one_and_stands_in_a_matcher_only() -> None:
    """Nothing is pasted beside a quoted label value; Grafana's own intervals are durations."""
    known = {one["name"] for one in dashboard()["templating"]["list"]} | GRAFANAS
    queries = [target["expr"] for one in panels() for target in one["targets"]]
    queries += [one["expr"] for one in dashboard()["annotations"]["list"] if "expr" in one]
    for query in queries:
        assert {*VARIABLE.findall(query)} <= known
        assert not VARIABLE.search(re.sub(r'=~"\$\w+"', "", query).replace("[$__rate_interval]", "")), query


def test_every_name_that_is_asked_for_is_exported_or_recorded() -> None:
    known = {*TABLE, *(one.record for one in RECORDINGS)}
    asked = [target["expr"] for one in panels() for target in one["targets"]]
    asked += [one.expr for one in (*RECORDINGS, *ALERTS)]
    asked += [one["expr"] for one in dashboard()["annotations"]["list"] if "expr" in one]
    for query in asked:
        assert {*OURS.findall(query)} <= known, query


def test_stages_and_verdicts_are_marked_when_they_were() -> None:
    marks = {one["name"]: one for one in dashboard()["annotations"]["list"]}
    for name in ("stages", "verdicts"):
        assert marks[name]["useValueForTime"]
        assert marks[name]["expr"].endswith("* 1000")


def pods_of(name: str) -> Json:
    """The template of the pods that a monitor is for."""
    version = ModelVersion(7, "gs://bucket/digits/7", f"sha256:{7:064x}")
    made = {
        "tfcanary-guards": manifests.guard("digits", "serving", "run-1", Plan(), "tfcanary"),
        "tfcanary-servers": manifests.deployment("digits", RunningPool(version), Plan()),
    }
    return dict(made[name]["spec"]["template"])


@pytest.mark.parametrize("one", [one for one in SCRAPE_TARGETS if one.name != "tfcanary-steps"], ids=lambda one: str(one.name))
def test_the_pods_that_a_release_makes_are_scraped_at_a_port_that_they_have(one: Any) -> None:
    template = pods_of(one.name)
    assert one.labels.items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    assert container["name"] == one.container
    assert one.port in {port["containerPort"] for port in container["ports"]}


def test_the_guard_of_a_namespace_and_the_steps_that_watch_are_scraped() -> None:
    from tfcanary.run.submit import package

    guards, steps, _ = SCRAPE_TARGETS
    (installed,) = [one for _, one in documents() if (one["kind"], one.get("metadata", {}).get("name")) == ("Deployment", "tfcanary-guard")]
    assert guards.labels.items() <= installed["spec"]["template"]["metadata"]["labels"].items()
    on_a_cluster = list(yaml.safe_load_all(package("canary_release")))[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    chosen = [step for step, pod in on_a_cluster.items() if steps.labels.items() <= pod["podMetadata"]["labels"].items()]
    assert chosen
    assert all("watch-stage" in step for step in chosen)


def test_what_we_export_names_its_own_namespace_and_servers_do_not() -> None:
    for one in SCRAPE_TARGETS:
        (endpoint,) = one.monitor()["spec"]["podMetricsEndpoints"]
        assert endpoint["honorLabels"] == one.scrape_config()["honor_labels"] == (one.port == object_names.METRICS)


def test_the_installation_is_rendered_with_a_dashboard_for_the_sidecar() -> None:
    found = render(DEPLOY / "monitoring")
    assert {one["metadata"]["namespace"] for one in found} == {"serving"}
    assert sorted(one["kind"] for one in found) == ["ConfigMap", "PodMonitor", "PodMonitor", "PodMonitor", "PrometheusRule"]
    (config_map,) = [one for one in found if one["kind"] == "ConfigMap"]
    assert config_map["metadata"]["name"] == "tfcanary-dashboard"
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config_map["data"]["tfcanary.json"]) == dashboard()
