"""A pipeline on a KFP host, through the SDK's client."""

from __future__ import annotations

import io
import logging
import re
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tfcanary.adapters.doctor_checks import CheckResult
from tfcanary.core.domain import Finding
from tfcanary.core.errors import Unavailable
from tfcanary.run.submit import Submission, package

ASK = 10.0
"""Seconds for an answer; a host that accepts and then says nothing holds up no trigger and no notebook."""
AGAIN = 3
"""More attempts where nobody could be reached, or where only something was read and the answer was lost."""
ENDED = {"SUCCEEDED": True, "SKIPPED": True, "FAILED": False, "CANCELED": False}


def with_image(text: str, image: str) -> str:
    """The package with every step in another image; what follows the pipeline's own document is kept."""
    documents = list(yaml.safe_load_all(text))
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        executor["container"]["image"] = image
    changed: str = yaml.safe_dump_all(documents, sort_keys=False)
    return changed


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """A run by its id."""

    client: Any
    host: str
    run_id: str

    @classmethod
    def start(cls, submission: Submission) -> RemoteRun:
        """Submit to the host; raises Unavailable where it cannot be reached."""
        text = package(submission.pipeline)
        text = with_image(text, submission.image) if submission.image else text
        # The SDK prints links, into the middle of what `--json` prints.
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file, redirect_stdout(io.StringIO()):
            Path(file.name).write_text(text, encoding="utf-8")
            client = _reached(submission.host, lambda: _client(submission.host))
            name = f"{submission.pipeline} {submission.arguments.get('model_name', '')}"
            run = _reached(
                submission.host,
                lambda: client.create_run_from_pipeline_package(
                    file.name,
                    arguments=dict(submission.arguments),
                    run_name=name,
                    enable_caching=False,
                    service_account=submission.service_account or None,
                ),
            )
        return cls(client, submission.host, run.run_id)

    def finished(self) -> bool | None:
        """None while the host says that it runs."""
        state = _reached(self.host, lambda: self.client.get_run(self.run_id).state)
        return ENDED.get(str(state))

    def stop(self) -> None:
        """Terminate the run; its exit step may be skipped by the backend, the guard is not."""
        _reached(self.host, lambda: self.client.terminate_run(self.run_id))

    def describe(self) -> str:
        """The run's page."""
        return f"{self.host.rstrip('/')}/#/runs/details/{self.run_id}"


def _reached(host: str, ask: Any) -> Any:
    import urllib3
    from kfp_server_api import ApiException

    try:
        return ask()
    except ApiException as error:
        raise Unavailable(f"KFP at {host} answers {error.status} {error.reason}") from error
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise Unavailable(f"KFP at {host} cannot be reached: {getattr(error, 'reason', None) or error}") from error


def answers(host: str) -> CheckResult:
    """What a KFP host says of itself: reachable, willing, and of a version that runs the package."""
    client = _reached(host, lambda: _client(host))
    api = client._healthz_api.api_client  # the SDK's own way to ask shows no version
    health = _reached(host, lambda: _health(client))
    try:
        version = str(_reached(host, lambda: _get(api, "/apis/v1beta1/healthz")).get("tag_name") or "")
    except Unavailable:
        version = ""  # a backend that has given up its older API
    many = ", for many users: name the steps' account with --service-account" if health.get("multi_user") else ""
    if re.match(r"v?[01]\.", version):
        return Finding.FAIL, f"KFP at {host} is {version}: the package needs 2.0 or newer; upgrade the backend"
    return Finding.PASS, f"KFP at {host} answers, version {version or 'unknown'}{many}"


def _client(host: str) -> Any:
    """The SDK's client, with limits of time, and in the namespace that the SDK would have found for it."""
    import warnings

    from kfp import Client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Without a namespace the SDK asks the host for one, five times and without a limit of time, before we can set any.
        client = Client(host=host, namespace="any")
    # The SDK has just set it lower: what cannot be reached is said once, in our own words.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    _limit(client._run_api.api_client.rest_client)
    client._load_context_setting_or_default()
    if not client.get_user_namespace() and _health(client).get("multi_user"):
        own = Path(client._NAMESPACE_PATH)
        client._context_setting["namespace"] = own.read_text(encoding="utf-8") if own.exists() else ""
    return client


def _limit(rest: Any) -> None:
    """Give every question of this client a limit of time, and its further attempts pauses; the SDK offers neither."""
    import urllib3

    ask = rest.request
    # For a connection and for an answer; the SDK leaves out a single number that is not whole.
    rest.request = lambda *args, **named: ask(*args, **{**named, "_request_timeout": (ASK, ASK)})
    # A question that changes something is asked again only where nobody was reached: that is urllib3's own rule.
    rest.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(AGAIN, backoff_factor=0.3, backoff_jitter=0.3)


def _health(client: Any) -> dict[str, Any]:
    return _get(client._healthz_api.api_client, "/apis/v2beta1/healthz")


def _get(api: Any, path: str) -> dict[str, Any]:
    found = api.call_api(
        path,
        "GET",
        header_params={"Accept": "application/json"},
        response_type="object",
        auth_settings=["Bearer"],
        _return_http_data_only=True,
    )
    if not isinstance(found, dict):
        raise ValueError(f"{path} answers no object")
    return found
