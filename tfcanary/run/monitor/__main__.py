"""Writes the files that this package describes: `python -m tfcanary.run.monitor deploy/monitoring docs/monitoring.md`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tfcanary.run.monitor import metric_table, rules
from tfcanary.run.monitor.dashboard import dashboard
from tfcanary.run.monitor.monitors import SCRAPE_TARGETS

HEADER = "# Made by `python -m tfcanary.run.monitor`: change tfcanary/run/monitor instead."
PART_OF = {"app.kubernetes.io/part-of": "tfcanary"}
SIDECAR = {"grafana_dashboard": "1"}
"""The label by which Grafana's sidecar finds dashboards in ConfigMaps."""

Json = dict[str, Any]


def files() -> dict[str, str]:
    """Return the text of every file of deploy/monitoring, by the file's name."""
    prometheus_rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "tfcanary", "labels": PART_OF},
        "spec": rules.groups(),
    }
    return {
        "rules.yaml": _yaml(rules.groups()),
        "prometheusrule.yaml": _yaml(prometheus_rule),
        "podmonitors.yaml": _yaml(*(one.monitor() for one in SCRAPE_TARGETS)),
        "scrape.yaml": _yaml({"scrape_configs": [one.scrape_config() for one in SCRAPE_TARGETS]}),
        "dashboard.json": json.dumps(dashboard(), indent=1) + "\n",
        "kustomization.yaml": _yaml(kustomization()),
    }


def kustomization() -> Json:
    """Return what `kubectl apply -k` applies, for the Prometheus operator and Grafana's sidecar.

    rules.yaml and scrape.yaml are not in it: they are for a Prometheus without the operator.
    """
    options = {"disableNameSuffixHash": True, "labels": {**PART_OF, **SIDECAR}}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "serving",
        "resources": ["prometheusrule.yaml", "podmonitors.yaml"],
        "configMapGenerator": [{"name": "tfcanary-dashboard", "files": ["tfcanary.json=dashboard.json"], "options": options}],
    }


def page(text: str) -> str:
    """Return the text of a document with its generated tables replaced; raises SystemExit where a table has no marks."""
    for name, table in {"metrics": metric_table.markdown(), "alerts": rules.markdown()}.items():
        begin, end = f"<!-- {name}: made by python -m tfcanary.run.monitor -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"the page has no place for {name}: {begin} … {end}")
        text = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return text


def main(folder: Path, docs: Path) -> None:
    """Write every file of deploy/monitoring into `folder`, and the tables into the document `docs`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
    docs.write_text(page(docs.read_text(encoding="utf-8")), encoding="utf-8")


def _yaml(*documents: Json) -> str:
    import yaml

    class Plain(yaml.SafeDumper):  # type: ignore[misc]
        """A dumper that writes texts of several lines as blocks, and no aliases."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Plain.add_representer(str, text)
    body = yaml.dump_all(documents, Dumper=Plain, sort_keys=False, width=120, allow_unicode=True)
    return f"{HEADER}\n{body}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
