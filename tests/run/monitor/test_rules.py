"""Each alert fires when it should, and none does when it should not: promtool evaluates the rules as Prometheus does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import binaries
from tests.run.monitor.alarms import CASES, Case
from tfcanary.run.monitor.rules import ALERTS

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "monitoring" / "rules.yaml"
FIRING = 'max by (alertname) (ALERTS{alertstate="firing"})'


@pytest.fixture(scope="module")
def promtool() -> Path:
    try:
        return binaries.find("promtool", "prometheus")
    except FileNotFoundError as error:
        pytest.skip(str(error))


def run(promtool: Path, *arguments: str) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def unit_test(case: Case) -> dict[str, object]:
    """As promtool reads it: all alerts that fire, by name, at each minute."""
    return {
        "name": case.name,
        "interval": "30s",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": FIRING,
                "eval_time": f"{minute * 60:g}s",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)],
            }
            for minute, names in case.fires.items()
        ],
    }


@pytest.mark.slow
def test_the_alerts_fire_when_they_should_and_only_then(promtool: Path, tmp_path: Path) -> None:
    tests = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [unit_test(case) for case in CASES]}
    (tmp_path / "tests.yaml").write_text(json.dumps(tests))
    run(promtool, "test", "rules", str(tmp_path / "tests.yaml"))


@pytest.mark.slow
def test_an_alert_names_its_model_and_says_what_to_read(promtool: Path, tmp_path: Path) -> None:
    (case,) = [one for one in CASES if one.name == "the guard is gone, and the watcher sees it"]
    expected = {
        "exp_labels": {"severity": "critical", "namespace": "serving", "model": "digits", "version": "2"},
        "exp_annotations": {
            "summary": "The canary of model digits in namespace serving has traffic and is not watched as it should be.",
            "description": "Version 2 gets 50% of the requests, and its guard has sent no heartbeat for longer than deploy.heartbeat, "
            "or its holder's time has run out and nobody took the weight to 0.",
            "runbook_url": "docs/runbook.md#tfcanarycanarywithoutwatcher",
        },
    }
    asked = {"eval_time": "10m", "alertname": "TfcanaryCanaryWithoutWatcher", "exp_alerts": [expected]}
    test = {**unit_test(case), "promql_expr_test": [], "alert_rule_test": [asked]}
    (tmp_path / "tests.yaml").write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    run(promtool, "test", "rules", str(tmp_path / "tests.yaml"))


@pytest.mark.slow
def test_rules_and_scrape_configurations_are_prometheus_own(promtool: Path) -> None:
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    run(promtool, "check", "config", str(RULES.with_name("scrape.yaml")))


def test_every_alert_fires_in_a_case_and_is_quiet_in_another() -> None:
    fired = {name for case in CASES for names in case.fires.values() for name in names}
    assert fired == {one.alert for one in ALERTS}


def test_every_alert_has_a_severity_and_a_section_of_the_runbook() -> None:
    for one in ALERTS:
        rule = one.rule()
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{one.alert.lower()}"
        assert "$labels.model" in rule["annotations"]["summary"]


def test_the_operators_rules_are_the_same() -> None:
    wrapped = yaml.safe_load(RULES.with_name("prometheusrule.yaml").read_text())
    assert wrapped["spec"] == yaml.safe_load(RULES.read_text())
