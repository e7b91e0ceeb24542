"""The REST API of Kubeflow Pipelines, version v2beta1, as far as a release needs it.

The SDK's `kfp.Client` cannot be used where a release is submitted by a step: a compiled component sets `_KFP_RUNTIME=true`, and then
`kfp` exports no client. It also sets no limits of time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcanary.core.errors import Unavailable
from tfcanary.run.submit.host_auth import Credentials, HostAuth, credentials, read_context

if TYPE_CHECKING:
    import requests

TIMEOUT = 10.0
"""Seconds for a connection and for an answer: a host that accepts and then is silent must hold up no trigger and no notebook."""
RETRIES = 3
"""Further attempts where the host was not reached, and where a request that only reads got no answer."""
V2, V1 = "/apis/v2beta1", "/apis/v1beta1"
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""The file with a pod's own namespace."""
EQUALS = 1
"""The API's number of the operation "equals" in a filter."""
CONFLICT = 409
"""The status with which the API refuses a name that it has already."""
UNDER_WAY = (None, "", "RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "PAUSED")
"""The states of a run that has not ended and is not being ended; a run that was only just created may have none."""
LOG_IN = "it asks for credentials: name them by --host-auth, as docs/triggers.md shows"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KfpApi:
    """One Kubeflow Pipelines API. Every method raises Unavailable where it cannot be reached, or answers with an error."""

    url: str
    """The address of the API, without `/apis`."""
    credentials: Credentials
    session: requests.Session

    @classmethod
    def connect(cls, url: str, auth: HostAuth | None = None) -> KfpApi:
        """Return the API at an address; a scheme that is missing is https. Nothing is asked yet."""
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3 import Retry

        url = (url if url.startswith("http") else f"https://{url}").rstrip("/")
        session = requests.Session()
        # urllib3 itself repeats a request that changes something only where no connection was made.
        adapter = HTTPAdapter(max_retries=Retry(RETRIES, backoff_factor=0.3, backoff_jitter=0.3))
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return cls(url, credentials(auth or HostAuth(), url), session)

    def is_multi_user(self) -> bool:
        """Return whether the host has many users, each with a namespace."""
        return bool(self._call("GET", f"{V2}/healthz").get("multi_user"))

    def version(self) -> str:
        """Return the host's version, for example 2.17.0; empty where it has given up its older API, which alone tells it."""
        try:
            return str(self._call("GET", f"{V1}/healthz").get("tag_name") or "")
        except Unavailable:
            return ""

    def namespace(self) -> str:
        """Return the namespace for runs: the SDK's context file names it, else on a host with many users it is the pod's own; or empty."""
        named = str(read_context().get("namespace") or "")
        if named or not self.is_multi_user() or not POD_NAMESPACE.exists():
            return named
        return POD_NAMESPACE.read_text(encoding="utf-8").strip()

    def create_run(self, run: Json, once: bool = False) -> str:
        """Create a run in the default experiment of `namespace`; returns the run's id.

        With `once` the display name is the run's own: a run of that name that goes on is the one, also where the answer to its creation
        was lost.
        """
        namespace = self.namespace()
        name = (
            os.environ.get("KF_PIPELINES_OVERRIDE_EXPERIMENT_NAME") or os.environ.get("KF_PIPELINES_DEFAULT_EXPERIMENT_NAME") or "Default"
        )
        wanted = {**run, "experiment_id": self._experiment(name, namespace)}
        if once and (there := self._run_under_way(wanted)):
            return there
        try:
            return _id(self._call("POST", f"{V2}/runs", body=wanted), "run_id")
        except Unavailable:
            if once and (there := self._run_under_way(wanted)):
                return there
            raise

    def create_recurring_run(self, run: Json, experiment: str) -> str:
        """Create a recurring run in the experiment of a name in `namespace`; returns its id."""
        wanted = {**run, "experiment_id": self._experiment(experiment, self.namespace())}
        return _id(self._call("POST", f"{V2}/recurringruns", body=wanted), "recurring_run_id")

    def _run_under_way(self, wanted: Json) -> str:
        """The id of the run of the same display name that goes on, or is about to begin; empty where there is none."""
        query = {
            "experiment_id": str(wanted["experiment_id"]),
            "filter": _named(str(wanted["display_name"])),
            "sort_by": "created_at desc",
            "page_size": "20",
        }
        found = self._call("GET", f"{V2}/runs", query=query).get("runs") or []
        return next((_id(one, "run_id") for one in found if one.get("state") in UNDER_WAY), "")

    def _experiment(self, name: str, namespace: str) -> str:
        """The id of the experiment of a name, which is created where it does not exist."""
        query = {"filter": _named(name), "namespace": namespace}
        found = self._call("GET", f"{V2}/experiments", query=query).get("experiments") or []
        if not found:
            found = [self._call("POST", f"{V2}/experiments", body={"display_name": name, "namespace": namespace})]
        return _id(found[0], "experiment_id")

    def run_state(self, run_id: str) -> str:
        """Return the state of a run in the API's words, for example RUNNING or SUCCEEDED."""
        return str(self._call("GET", f"{V2}/runs/{run_id}").get("state") or "")

    def terminate_run(self, run_id: str) -> None:
        """Terminate a run; the host may leave out its exit step."""
        self._call("POST", f"{V2}/runs/{run_id}:terminate")

    def upload_pipeline(self, name: str, version: str, description: str, file: str, content: str) -> bool:
        """Upload a compiled pipeline as a version of the pipeline `name`, which is created where it does not exist.

        Returns whether the version is new; one of that name that exists already stays as it is.
        """
        namespace = self.namespace()
        if not (pipeline_id := self._pipeline(name, namespace)):
            pipeline = {"display_name": name, "description": description, "namespace": namespace}
            pipeline_id = _id(self._call("POST", f"{V2}/pipelines", body=pipeline), "pipeline_id")
        query = {"name": version, "pipelineid": pipeline_id, "description": description}
        answer = self._send("POST", f"{V2}/pipelines/upload_version", query, files={"uploadfile": (file, content)}, accept=(CONFLICT,))
        return bool(answer.status_code != CONFLICT)

    def _pipeline(self, name: str, namespace: str) -> str:
        """The id of the pipeline of a name; empty where there is none."""
        query = {"filter": _named(name), "namespace": namespace}
        found = self._call("GET", f"{V2}/pipelines", query=query).get("pipelines") or []
        return _id(found[0], "pipeline_id") if found else ""

    def _call(self, method: str, path: str, query: Mapping[str, str] | None = None, body: Json | None = None) -> Json:
        return self._json(self._send(method, path, query, body))

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        files: Mapping[str, tuple[str, str]] | None = None,
        accept: tuple[int, ...] = (),
    ) -> requests.Response:
        """Send one request; an answer is a success, or has a status of `accept`. Raises Unavailable otherwise."""
        import requests

        headers = {"Accept": "application/json", **self.credentials.headers()}

        def with_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers.update(headers)
            return request

        try:
            answer = self.session.request(
                method,
                self.url + path,
                params=query,
                json=body,
                files=files,
                # As `auth` and not as `headers`: those would be overwritten by a password in ~/.netrc.
                auth=with_headers,
                timeout=(TIMEOUT, TIMEOUT),
                # A redirection leads to a page for people, whose text is no answer.
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise Unavailable(f"KFP at {self.url} cannot be reached: {_reason(error)}") from error
        if answer.status_code not in accept and (not answer.ok or answer.is_redirect):
            hint = f"; {LOG_IN}" if answer.status_code in (401, 403) or answer.is_redirect else ""
            raise Unavailable(f"KFP at {self.url} answers {answer.status_code} {answer.reason}{_detail(answer)}{hint}")
        return answer

    def _json(self, answer: requests.Response) -> Json:
        """The JSON object of an answer; raises Unavailable where it has none."""
        import requests

        try:
            document = answer.json() if answer.content else {}
        except requests.JSONDecodeError:
            raise Unavailable(f"KFP at {self.url} answers with a page and no JSON; where the page is a log-in, {LOG_IN}") from None
        if not isinstance(document, dict):
            raise Unavailable(f"KFP at {self.url} answers with no JSON object")
        return document


def _named(name: str) -> str:
    """The filter that lets pass what has this display name."""
    return json.dumps({"predicates": [{"operation": EQUALS, "key": "display_name", "stringValue": name}]})


def _id(document: Any, name: str) -> str:
    if not isinstance(document, Mapping) or not document.get(name):
        raise Unavailable(f"KFP answers without a {name}")
    return str(document[name])


def _reason(error: requests.RequestException) -> Any:
    """The innermost reason: requests wraps urllib3's error, and that one the reason."""
    inner = error.args[0] if error.args else error
    return getattr(inner, "reason", None) or inner


def _detail(answer: requests.Response) -> str:
    """The API's own sentence about an error, cut short; empty where it has none."""
    try:
        document = answer.json()
    except ValueError:
        return ""
    message = document.get("message") or document.get("error") or document.get("error_message") if isinstance(document, Mapping) else ""
    return f" ({' '.join(str(message).split())[:200]})" if message else ""
