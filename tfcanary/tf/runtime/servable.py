"""A SavedModel in memory: its signatures, and a way to run it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from tfcanary.core.errors import Refused
from tfcanary.tf.runtime.signatures import Signature, signature_from

if TYPE_CHECKING:
    import numpy as np

MAX_MESSAGE_LENGTH = 4096
"""The most characters of a message of TensorFlow that are kept: it may repeat text out of the model."""


class TensorFlowError(Refused):
    """TensorFlow refused a model or a request, with a code, for example `INVALID_ARGUMENT`, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message if len(message) <= MAX_MESSAGE_LENGTH else f"{message[:MAX_MESSAGE_LENGTH]}…")
        self.code = code


class Servable:
    """A model in memory.

    `run` may be called from several threads at once; `close` may be called once no thread runs the model any more.
    """

    def __init__(self, session: Any, definitions: Mapping[str, Any], seconds: float = 0.0) -> None:
        self._session = session
        self._seconds = seconds
        self._callables: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Callable[..., list[Any]]] = {}
        self.definitions = definitions
        """The SignatureDef messages by name."""
        self.signatures: Mapping[str, Signature] = {name: signature_from(definitions[name]) for name in sorted(definitions)}
        """The signatures by name."""

    def run(self, signature: str, feeds: Mapping[str, np.ndarray], outputs: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
        """Return the outputs named in `outputs`, or all of them, by name; strings are bytes in object arrays.

        The shapes of the feeds are not compared with the signature: the graph accepts them or fails. Raises
        TensorFlowError, with TF Serving's code and message, where a name or a type does not fit, where the graph fails, or
        where it takes longer than the model was loaded to allow.
        """
        feeds = self.complete(signature, feeds, outputs)
        spec = self.signatures[signature]
        names = outputs or tuple(spec.outputs)
        aliases = tuple(alias for alias in spec.inputs if alias in feeds)
        with translate_errors():
            call = self._callables.get((signature, aliases, names)) or self._prepare(signature, aliases, names)
            results = call(*(feeds[alias] for alias in aliases))
        return {name: _array(result) for name, result in zip(names, results, strict=True)}

    def complete(self, signature: str, feeds: Mapping[str, np.ndarray], outputs: tuple[str, ...] | None = None) -> Mapping[str, np.ndarray]:
        """Return the feeds with the model's defaults for what is missing; raises TensorFlowError where a name does not fit."""
        spec = self._signature(signature)
        if feeds.keys() != spec.inputs.keys():
            feeds = self._with_defaults(signature, feeds)
        if outputs:
            _check_outputs(spec, outputs)
        return feeds

    def prepare(self, signature: str) -> None:
        """Build what a request for all outputs needs, without sending one.

        Raises TensorFlowError where the graph cannot be run, whatever the request.
        """
        spec = self._signature(signature)
        with translate_errors():
            self._prepare(signature, tuple(spec.inputs), tuple(spec.outputs))

    def close(self) -> None:
        """Free the model's memory; a second call does nothing."""
        self._callables.clear()
        self._session.close()

    def _signature(self, name: str) -> Signature:
        if (signature := self.signatures.get(name)) is None:
            raise TensorFlowError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        return signature

    def _with_defaults(self, signature: str, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return the feeds and the model's default for each missing input.

        Raises TensorFlowError where a missing input has no default, and where an input is none of the signature's.
        """
        inputs, definition = self.signatures[signature].inputs, self.definitions[signature]
        extra, missing = sorted(feeds.keys() - inputs.keys()), sorted(inputs.keys() - feeds.keys())
        if extra or not all(alias in definition.defaults for alias in missing):
            raise TensorFlowError(
                "INVALID_ARGUMENT",
                f"input size does not match signature: {len(feeds)}!={len(inputs)} len({_set(sorted(feeds))}) != len({_set(sorted(inputs))}). "
                f"Sent extra: {_set(extra)}. Missing but required: {_set(missing)}.",
            )
        import tensorflow as tf

        return {**feeds, **{alias: tf.make_ndarray(definition.defaults[alias]) for alias in missing}}

    def _prepare(self, signature: str, aliases: tuple[str, ...], names: tuple[str, ...]) -> Callable[..., list[Any]]:
        spec = self.signatures[signature]
        call = make_callable(
            self._session,
            [spec.inputs[alias].name for alias in aliases],
            fetch=[spec.outputs[name].name for name in names],
            seconds=self._seconds,
        )
        self._callables[signature, aliases, names] = call
        return call


def make_callable(
    session: Any, feed: Collection[str], fetch: Collection[str] = (), target: Collection[str] = (), seconds: float = 0.0
) -> Callable[..., list[Any]]:
    """Return a function that takes the fed tensors, in the order of `feed`, and returns the fetched ones.

    This is the C++ Session::MakeCallable: four times as fast as Session.run, and unlike the public make_callable it does
    not compare shapes with the placeholders, which TF Serving does not do either.
    """
    from tensorflow.core.protobuf import config_pb2

    options = config_pb2.CallableOptions(feed=feed, fetch=fetch, target=target)
    options.run_options.timeout_in_ms = round(seconds * 1000)
    call: Callable[..., list[Any]] = session._make_callable_from_options(options)
    return call


class translate_errors:  # in small letters, because it is used as `with translate_errors():`
    """Turn TensorFlow's exceptions into TensorFlowError."""

    def __enter__(self) -> None:
        """Do nothing, so that only a request that fails pays for the translation."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        import tensorflow as tf

        from tfcanary.tf.wire import messages

        if isinstance(error, tf.errors.OpError):
            raise TensorFlowError(messages.Code.Name(error.error_code), error.message) from error
        if isinstance(error, ValueError | TypeError | KeyError):
            raise TensorFlowError("INVALID_ARGUMENT", str(error)) from error
        if isinstance(error, OSError):
            raise TensorFlowError("UNKNOWN", str(error)) from error


def _check_outputs(signature: Signature, names: tuple[str, ...]) -> None:
    for number, alias in enumerate(names):
        if alias not in signature.outputs:
            expected = f"Outputs expected to be in the set {_set(sorted(signature.outputs))}."
            raise TensorFlowError("INVALID_ARGUMENT", f"output tensor alias not found in signature: {alias} {expected}")
        if alias in names[:number]:
            raise TensorFlowError("INVALID_ARGUMENT", f"duplicate output tensor alias: {alias}")


def _array(result: Any) -> np.ndarray:
    import numpy as np

    return np.array(result, dtype=object) if isinstance(result, bytes) else np.asarray(result)


def _set(names: Collection[str]) -> str:
    return f"{{{','.join(names)}}}"
