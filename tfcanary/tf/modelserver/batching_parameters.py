"""How requests are put together into batches: BatchingParameters, read from a file in text format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfcanary.tf.modelserver.configs import read_text
from tfcanary.tf.modelserver.server_options import Options, cpus
from tfcanary.tf.modelserver.status import invalid_argument
from tfcanary.tf.wire import messages

OWN_FILE = "batching_params.pbtxt"
"""The file with a version's own parameters, in the version's directory."""


@dataclass(frozen=True, slots=True)
class BatchingParameters:
    """The limits of batches; sizes are numbers of examples, the first dimension of the inputs."""

    max_batch_size: int = 1000
    """The largest request, and the largest batch where large requests are not split."""
    batch_timeout_micros: int = 0
    """Microseconds after which a batch is run although there is room in it."""
    max_enqueued_batches: int = 10
    """How many batches of one signature may wait; a request that needs one more is answered UNAVAILABLE."""
    num_batch_threads: int = 1
    """How many batches run at once."""
    allowed_batch_sizes: tuple[int, ...] = ()
    """A batch is filled up to the next of these sizes with copies of one of its examples; empty: it is not."""
    pad_variable_length_inputs: bool = False
    """Fill inputs of different shapes up with zeros to the largest one; otherwise such requests fail together."""
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 1000
    """The largest batch."""

    def filled_size(self, size: int) -> int:
        """Return the size to which a batch of this size is filled up."""
        return next((allowed for allowed in self.allowed_batch_sizes if allowed >= size), size)


def read_parameters(options: Options) -> BatchingParameters | None:
    """Return the parameters of the flags; None where they ask for no batches.

    Raises RequestError where the file cannot be used or has a value that cannot be.
    """
    if not options.enable_batching:
        if options.batching_parameters_file:
            raise invalid_argument("server_options.batching_parameters_file is set without setting server_options.enable_batching to true.")
        return None
    return _read(options.batching_parameters_file) if options.batching_parameters_file else _parameters(messages.BatchingParameters())


def own_parameters(version: Path) -> BatchingParameters | None:
    """Return the parameters in the version's directory; None where there are none. Raises RequestError like `read_parameters`."""
    file = version / OWN_FILE
    return _read(str(file)) if file.exists() else None


def _read(path: str) -> BatchingParameters:
    return _parameters(read_text(path, messages.BatchingParameters()))


def _parameters(message: Any) -> BatchingParameters:
    default = BatchingParameters(num_batch_threads=cpus())

    def value(name: str) -> int:
        return int(getattr(message, name).value if message.HasField(name) else getattr(default, name))

    splitting = message.enable_large_batch_splitting.value
    largest = value("max_execution_batch_size") if message.HasField("max_execution_batch_size") else value("max_batch_size")
    parameters = BatchingParameters(
        max_batch_size=value("max_batch_size"),
        batch_timeout_micros=value("batch_timeout_micros"),
        max_enqueued_batches=value("max_enqueued_batches"),
        num_batch_threads=value("num_batch_threads"),
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        enable_large_batch_splitting=splitting,
        max_execution_batch_size=largest if splitting else value("max_batch_size"),
    )
    for problem in _problems(parameters):
        raise invalid_argument(problem)
    return parameters


def _problems(parameters: BatchingParameters) -> Iterator[str]:
    for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads", "max_execution_batch_size"):
        if getattr(parameters, name) < 1:
            yield f"{name} must be positive; was {getattr(parameters, name)}"
    if parameters.batch_timeout_micros < 0:
        yield f"batch_timeout_micros must be non-negative; was {parameters.batch_timeout_micros}"
    if parameters.max_execution_batch_size > parameters.max_batch_size:
        yield f"max_execution_batch_size should be less than or equal to max_batch_size; was {parameters.max_execution_batch_size}"
