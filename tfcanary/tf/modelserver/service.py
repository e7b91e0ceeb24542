"""The core of the server: its models and its metrics. REST and gRPC requests both end here."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcanary.tf.modelserver.batching import BatchedServable, BatchScheduler
from tfcanary.tf.modelserver.batching_parameters import BatchingParameters, own_parameters
from tfcanary.tf.modelserver.faults import FaultInjector
from tfcanary.tf.modelserver.inference import RunnableVersion
from tfcanary.tf.modelserver.manager import AnyServable, LoadedVersion, ModelManager, ModelVersions
from tfcanary.tf.modelserver.page import MetricsPage
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.status import RequestError
from tfcanary.tf.modelserver.warmup import warm_up
from tfcanary.tf.runtime import Servable, TensorFlowError, import_tensorflow, load
from tfcanary.tf.wire import messages

if TYPE_CHECKING:
    import numpy as np


class ServerCore:
    """The models and the metrics of one server."""

    def __init__(self, options: Options, batching: BatchingParameters | None = None) -> None:
        """Make a server without models; `batching` tells how requests are put together, None that they are not."""
        self.faults = FaultInjector(options.inject) if options.inject else None
        """What is injected into the responses; None where nothing is."""
        self.page = MetricsPage(self.faults.counts if self.faults else None)
        self.manager = ModelManager(self._load, options)
        self._options = options
        self._batching = batching
        self._scheduler = BatchScheduler(batching.num_batch_threads, self.page) if batching else None

    def versions(self, model: str) -> ModelVersions:
        """Return the versions of a model; for an unknown model, an object without versions, whose `borrow` raises RequestError."""
        return ModelVersions(self.manager, model)

    def run(
        self,
        model: str,
        loaded: LoadedVersion,
        signature: str,
        feeds: Mapping[str, np.ndarray],
        outputs: tuple[str, ...] = (),
        api: str = "Predict",
    ) -> dict[str, np.ndarray]:
        """Run a signature and return its outputs by name; raises RequestError with TensorFlow's code and message.

        The time is counted under `api`, the method of PredictionService.
        """
        try:
            if self.faults:
                return self.faults.run(lambda: self._run(model, loaded.servable, signature, feeds, outputs, api))
            return self._run(model, loaded.servable, signature, feeds, outputs, api)
        except TensorFlowError as error:
            raise RequestError(error.code, str(error)) from error

    def runnable(self, model: str, loaded: LoadedVersion) -> RunnableVersion:
        """Return a version as a request for classes, for numbers, or for both sees it."""
        run, count = partial(self.run, model, loaded), partial(self.page.count_examples, model)
        return RunnableVersion(model, loaded.number, loaded.servable.definitions, run, count)

    def status(self, model: str, version: int | None) -> Any:
        """Return a GetModelStatusResponse for one version, or for all where `version` is None.

        Raises RequestError where the model never had such a version.
        """
        states = [state for state in self.versions(model).states() if version in (None, state.number)]
        if not states:
            what = "any versions" if version is None else f"version {version}"
            raise RequestError("NOT_FOUND", f"Could not find {what} of model {model}")
        response = messages.GetModelStatusResponse()
        for state in states:
            status = {"error_code": messages.Code.Value(state.code), "error_message": state.message}
            response.model_version_status.add(version=state.number, state=_STATES.Value(state.state), status=status)
        return response

    def signatures(self, loaded: LoadedVersion) -> Any:
        """Return the signatures of a version as a SignatureDefMap."""
        signatures = messages.SignatureDefMap()
        for name, definition in loaded.servable.definitions.items():
            signatures.signature_def[name].ParseFromString(definition.SerializeToString())
        return signatures

    def _load(self, model: str, path: Path) -> AnyServable:
        """Load and warm up one version, then exclude all objects in memory from garbage collection.

        TensorFlow leaves 272,000 objects: a full collection over them stops the process for 120 to 170 ms at any time.
        """
        loaded = self._load_timed(path)
        try:
            servable = self._batched(loaded, path)
            if self._options.enable_model_warmup:
                self._warm_up(model, path, servable)
        except TensorFlowError:
            loaded.close()
            raise
        gc.collect()
        gc.freeze()
        return servable

    def _batched(self, servable: Servable, path: Path) -> AnyServable:
        """Return the model as one whose requests run in batches, where the flags or the version ask for it."""
        parameters = self._batching
        try:
            if self._options.enable_per_model_batching_parameters:
                parameters = own_parameters(path)
        except RequestError as error:
            raise TensorFlowError(error.code, str(error)) from error
        if self._scheduler is None or parameters is None:
            return servable
        milliseconds = self._options.rest_api_timeout_in_ms
        return BatchedServable(servable, parameters, self._scheduler, milliseconds / 1000 if milliseconds > 0 else math.inf)

    def _warm_up(self, model: str, path: Path, servable: AnyServable) -> None:
        """Run the warm-up requests of a version, without injected faults; raises TensorFlowError where one fails."""
        start = time.perf_counter()
        version = RunnableVersion(
            model, 0, servable.definitions, partial(self._run, model, servable), partial(self.page.count_examples, model)
        )
        number = warm_up(path, version, max(self._options.num_request_iterations_for_warmup, 1))
        if number is not None:
            self.page.warmup_latency.observe((time.perf_counter() - start) * 1e6, str(path), "OK")
            self.page.warmup_records.add(str(path), "OK", amount=number)

    def _load_timed(self, path: Path) -> Servable:
        import_tensorflow()  # before the clock starts: the import does not count as the model's load time
        start = time.perf_counter()
        try:
            servable = load(path, self._options.threads, self._options.rest_api_timeout_in_ms / 1000, self._options.tags)
        except TensorFlowError:
            self.page.loads.add(str(path), "fail")
            raise
        self.page.loads.add(str(path), "success")
        self.page.load_time.add(str(path), amount=round((time.perf_counter() - start) * 1e6))
        return servable

    def _run(
        self,
        model: str,
        servable: AnyServable,
        signature: str,
        feeds: Mapping[str, np.ndarray],
        outputs: tuple[str, ...],
        api: str,
    ) -> dict[str, np.ndarray]:
        start = time.perf_counter()
        results = servable.run(signature, feeds, outputs)
        self.page.runtime.observe((time.perf_counter() - start) * 1e6, model, api, "TF1")
        return results


_STATES = messages.ModelVersionStatus.State
