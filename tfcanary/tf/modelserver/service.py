"""What the server knows and does, whoever asks: REST and gRPC both end here."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcanary.tf.modelserver.configs import ModelConfig
from tfcanary.tf.modelserver.lifecycle import Loaded, Versions
from tfcanary.tf.modelserver.page import Page
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.status import RequestError
from tfcanary.tf.modelserver.warmup import warm_up
from tfcanary.tf.runtime import Failed, Servable, load, start_tensorflow
from tfcanary.tf.wire import messages

if TYPE_CHECKING:
    import numpy as np


class Service:
    """The models and the counters of one server."""

    def __init__(self, configs: Iterable[ModelConfig], options: Options) -> None:
        self.page = Page()
        self._options = options
        pause = options.load_retry_interval_micros / 1e6
        self._models = {config.name: Versions(config, self._load, options.max_num_load_retries, pause) for config in configs}

    def poll(self) -> None:
        """Load and unload what changed on disk."""
        for versions in self._models.values():
            versions.poll()

    def stop(self) -> None:
        """Let a `poll` that waits return."""
        for versions in self._models.values():
            versions.stop()

    def waiting(self) -> bool:
        """Whether a model has no version yet, not even one that failed: the original waits for one with closed ports."""
        return not all(versions.states() for versions in self._models.values())

    def failures(self) -> list[str]:
        """The models without a version that serves, as the original names them when it gives up."""
        return [_failure(name, versions) for name, versions in self._models.items() if not _available(versions)]

    def versions(self, model: str) -> Versions:
        """The versions of a model; an unknown one has none. Its `borrow` raises RequestError then."""
        return self._models.get(model) or Versions(ModelConfig(model, Path()), self._load)

    def run(
        self, model: str, loaded: Loaded, signature: str, feeds: Mapping[str, np.ndarray], outputs: tuple[str, ...] = ()
    ) -> dict[str, np.ndarray]:
        """Compute; raises RequestError with TensorFlow's code and sentence."""
        try:
            return self._run(model, loaded.servable, signature, feeds, outputs)
        except Failed as error:
            raise RequestError(error.code, str(error)) from error

    def status(self, model: str, version: int | None) -> Any:
        """A GetModelStatusResponse; raises RequestError where there is no such version."""
        states = [state for state in self.versions(model).states() if version in (None, state.number)]
        if not states:
            what = "any versions" if version is None else f"version {version}"
            raise RequestError("NOT_FOUND", f"Could not find {what} of model {model}")
        answer = messages.GetModelStatusResponse()
        for state in states:
            status = {"error_code": messages.Code.Value(state.code), "error_message": state.message}
            answer.model_version_status.add(version=state.number, state=_STATES.Value(state.state), status=status)
        return answer

    def signatures(self, loaded: Loaded) -> Any:
        """A SignatureDefMap."""
        answer = messages.SignatureDefMap()
        for name, definition in loaded.servable.definitions.items():
            answer.signature_def[name].ParseFromString(definition.SerializeToString())
        return answer

    def _load(self, model: str, path: Path) -> Servable:
        """Load and warm up one version; what is in memory afterwards is never looked at by the garbage collector again.

        TensorFlow leaves 272,000 objects: a full collection over them stops everything for 120 to 170 ms, unannounced.
        """
        servable = self._loaded(path)
        try:
            if self._options.enable_model_warmup:
                warm_up(path, lambda signature, feeds, outputs: self._run(model, servable, signature, feeds, outputs))
        except Failed:
            servable.close()
            raise
        gc.collect()
        gc.freeze()
        return servable

    def _loaded(self, path: Path) -> Servable:
        start_tensorflow()  # its import is not the model's time
        began = time.perf_counter()
        try:
            servable = load(path, self._options.threads, self._options.rest_api_timeout_in_ms / 1000)
        except Failed:
            self.page.loads.add(str(path), "fail")
            raise
        self.page.loads.add(str(path), "success")
        self.page.load_time.add(str(path), amount=round((time.perf_counter() - began) * 1e6))
        return servable

    def _run(
        self, model: str, servable: Servable, signature: str, feeds: Mapping[str, np.ndarray], outputs: tuple[str, ...]
    ) -> dict[str, np.ndarray]:
        began = time.perf_counter()
        results = servable.run(signature, feeds, outputs)
        self.page.runtime.observe((time.perf_counter() - began) * 1e6, model, "Predict", "TF1")
        return results


_STATES = messages.ModelVersionStatus.State


def _available(versions: Versions) -> bool:
    return any(state.state == "AVAILABLE" for state in versions.states())


def _failure(name: str, versions: Versions) -> str:
    failed = ", ".join(
        f"{{name: {name} version: {state.number}}} due to error: {state.code}: {state.message}" for state in versions.states()
    )
    return f"{{{failed}}}"
