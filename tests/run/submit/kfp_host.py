"""A KFP API server over HTTP: its health, experiments and runs, as the v2beta1 API describes them, and its ways to ask who calls."""

from __future__ import annotations

import json
from typing import Any

from tests.adapters.kubeclient.api_server import ApiServer, Asked, Told

NEW, OLD = "/apis/v2beta1/healthz", "/apis/v1beta1/healthz"
PIPELINES, VERSIONS = "/apis/v2beta1/pipelines", "/apis/v2beta1/pipelines/upload_version"
EXPERIMENTS, RUNS = "/apis/v2beta1/experiments", "/apis/v2beta1/runs"
RECURRING = "/apis/v2beta1/recurringruns"
JSON = {"Content-Type": "application/json"}


class Host(ApiServer):
    """For one user until `health` says otherwise; runs are RUNNING until the test or somebody's call ends them."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = {NEW: Told(body={"multi_user": False}, headers=JSON), OLD: Told(body={"tag_name": "2.17.0"}, headers=JSON)}
        self.wanted: dict[str, str] = {}
        """The headers that every request must have, with their values."""
        self.log_in: Told = Told(401, {"error": "Request header error: there is no user identity header."}, JSON)
        """What a request without them is answered with."""
        self.experiments: list[dict[str, Any]] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.recurring: list[dict[str, Any]] = []
        self.loses = ""
        """How the answer to the next new run is lost, after the run was created: `cut` or `silent`."""
        self.pipelines: dict[str, dict[str, Any]] = {}
        """By id."""
        self.versions: dict[tuple[str, str], dict[str, str]] = {}
        """The query and the file of each upload, by the pipeline's id and the version's name."""

    def otherwise(self, asked: Asked) -> Told:
        if any(asked.headers.get(name) != value for name, value in self.wanted.items()):
            return self.log_in
        if asked.path in self.pages:
            return self.pages[asked.path]
        if asked.path == EXPERIMENTS:
            return self._experiments(asked)
        if asked.path == PIPELINES:
            return self._pipelines(asked)
        if asked.path == VERSIONS:
            return self._upload(asked)
        if asked.path == RECURRING:
            self.recurring.append(asked.body)
            return Told(body={"recurring_run_id": f"recurring-{len(self.recurring)}"}, headers=JSON)
        if asked.path == RUNS:
            return self._begin(asked.body) if asked.method == "POST" else self._runs(asked)
        return self._of_run(asked)

    def _experiments(self, asked: Asked) -> Told:
        if asked.method == "POST":
            self.experiments.append({**asked.body, "experiment_id": f"e{len(self.experiments) + 1}"})
            return Told(body=self.experiments[-1], headers=JSON)
        of = [one for one in self.experiments if one.get("namespace", "") == asked.query.get("namespace", "")]
        return Told(body={"experiments": of}, headers=JSON)

    def _pipelines(self, asked: Asked) -> Told:
        if asked.method == "POST":
            id = f"p{len(self.pipelines) + 1}"
            self.pipelines[id] = {**asked.body, "pipeline_id": id}
            return Told(body=self.pipelines[id], headers=JSON)
        (wanted,) = json.loads(asked.query["filter"])["predicates"]
        found = [one for one in self.pipelines.values() if one[wanted["key"]] == wanted["stringValue"]]
        return Told(body={"pipelines": found}, headers=JSON)

    def _upload(self, asked: Asked) -> Told:
        """The pages of Kubeflow send this request, too, with what a person has typed as the description."""
        key = asked.query["pipelineid"], asked.query["name"]
        if key in self.versions:
            return Told(409, {"error_message": "The name already exists"}, JSON)
        self.versions[key] = {**asked.query, "file": asked.body}
        return Told(body={"pipeline_version_id": "v1"}, headers=JSON)

    def _begin(self, wanted: dict[str, Any]) -> Told:
        if wanted["experiment_id"] not in {one["experiment_id"] for one in self.experiments}:
            return Told(404, {"error": "no such experiment"}, JSON)
        run_id = f"r{len(self.runs) + 1}"
        self.runs[run_id] = {**wanted, "run_id": run_id, "state": "RUNNING"}
        how, self.loses = self.loses, ""
        return Told(body=self.runs[run_id], headers=JSON, how=how)

    def _runs(self, asked: Asked) -> Told:
        (wanted,) = json.loads(asked.query["filter"])["predicates"]
        found = [one for one in self.runs.values() if one["experiment_id"] == asked.query["experiment_id"]]
        return Told(body={"runs": [one for one in found if one[wanted["key"]] == wanted["stringValue"]]}, headers=JSON)

    def _of_run(self, asked: Asked) -> Told:
        run_id, _, verb = asked.path.removeprefix(f"{RUNS}/").partition(":")
        if run_id not in self.runs:
            return Told(404, {"error": "not found"}, JSON)
        if verb == "terminate" and asked.method == "POST":
            self.runs[run_id]["state"] = "CANCELED"
        return Told(body=self.runs[run_id], headers=JSON)
