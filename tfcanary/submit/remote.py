"""A pipeline on a KFP host, through the SDK's client."""

from __future__ import annotations

import logging
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tfcanary.domain import Finding
from tfcanary.errors import Unavailable
from tfcanary.platforms.checks import Said
from tfcanary.submit import Submission, package

ASK = 10.0
"""Seconds for an answer to a doctor's question."""
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
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
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


def answers(host: str) -> Said:
    """What a KFP host says of itself: reachable, willing, and of a version that runs the package."""
    # A namespace of any name: without one the SDK asks for its own, five times, with pauses between.
    client = _reached(host, lambda: _client(host, namespace="any"))
    api = client._healthz_api.api_client  # the SDK's own way to ask shows no version
    health = _reached(host, lambda: _get(api, "/apis/v2beta1/healthz"))
    try:
        version = str(_reached(host, lambda: _get(api, "/apis/v1beta1/healthz")).get("tag_name") or "")
    except Unavailable:
        version = ""  # a backend that has given up its older API
    many = ", for many users: name the steps' account with --service-account" if health.get("multi_user") else ""
    if re.match(r"v?[01]\.", version):
        return Finding.FAIL, f"KFP at {host} is {version}: the package needs 2.0 or newer; upgrade the backend"
    return Finding.PASS, f"KFP at {host} answers, version {version or 'unknown'}{many}"


def _client(host: str, **more: str) -> Any:
    import warnings

    from kfp import Client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = Client(host=host, **more)
    # The SDK has just set it lower: what cannot be reached is said once, in our own words.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    return client


def _get(api: Any, path: str) -> dict[str, Any]:
    found = api.call_api(
        path,
        "GET",
        header_params={"Accept": "application/json"},
        response_type="object",
        auth_settings=["Bearer"],
        _return_http_data_only=True,
        _request_timeout=ASK,
    )
    if not isinstance(found, dict):
        raise ValueError(f"{path} answers no object")
    return found
