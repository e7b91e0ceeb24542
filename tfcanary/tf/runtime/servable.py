"""A loaded SavedModel: what it takes and gives, and one way to run it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from tfcanary.core.errors import Refused
from tfcanary.tf.runtime.signatures import Signature, signature_from

if TYPE_CHECKING:
    import numpy as np

LONGEST_SENTENCE = 4096
"""Characters of a sentence of TensorFlow that are kept: it may repeat what the model says."""


class Failed(Refused):
    """TensorFlow refused a model or a request: its code, for example `INVALID_ARGUMENT`, and its sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message if len(message) <= LONGEST_SENTENCE else f"{message[:LONGEST_SENTENCE]}…")
        self.code = code


class Servable:
    """A model in memory. `run` may be called from several threads at once; `close` once none of them runs any more."""

    def __init__(self, session: Any, definitions: Mapping[str, Any], seconds: float = 0.0) -> None:
        self._session = session
        self._seconds = seconds
        self._callables: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Callable[..., list[Any]]] = {}
        self.definitions = definitions
        """The SignatureDef messages by name."""
        self.signatures: Mapping[str, Signature] = {name: signature_from(definitions[name]) for name in sorted(definitions)}
        """The same as values."""

    def run(self, signature: str, feeds: Mapping[str, np.ndarray], outputs: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
        """The outputs by name (all of them where none are named); strings come and go as bytes in object arrays.

        Shapes are not compared with the signature: the graph accepts them or fails. Raises Failed with TF Serving's code
        and sentence where a name or type does not fit, the graph fails, or it takes longer than `load` allowed.
        """
        wanted = self._signature(signature)
        if feeds.keys() != wanted.inputs.keys():
            feeds = self._completed(signature, feeds)
        names = tuple(wanted.outputs) if not outputs else self._chosen(wanted, outputs)
        aliases = tuple(alias for alias in wanted.inputs if alias in feeds)
        with named_errors():
            call = self._callables.get((signature, aliases, names)) or self._prepare(signature, aliases, names)
            results = call(*(feeds[alias] for alias in aliases))
        return {name: _array(result) for name, result in zip(names, results, strict=True)}

    def prepare(self, signature: str) -> None:
        """Get ready for a request without sending one; raises Failed where the graph cannot be run whatever the request."""
        wanted = self._signature(signature)
        with named_errors():
            self._prepare(signature, tuple(wanted.inputs), tuple(wanted.outputs))

    def close(self) -> None:
        """Free the memory; may be repeated."""
        self._callables.clear()
        self._session.close()

    def _signature(self, name: str) -> Signature:
        if (found := self.signatures.get(name)) is None:
            raise Failed("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        return found

    def _completed(self, signature: str, feeds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """The feeds with the model's own values for what is missing; raises Failed where it has none."""
        inputs, definition = self.signatures[signature].inputs, self.definitions[signature]
        extra, missing = sorted(feeds.keys() - inputs.keys()), sorted(inputs.keys() - feeds.keys())
        if extra or not all(alias in definition.defaults for alias in missing):
            raise Failed(
                "INVALID_ARGUMENT",
                f"input size does not match signature: {len(feeds)}!={len(inputs)} len({_set(sorted(feeds))}) != len({_set(sorted(inputs))}). "
                f"Sent extra: {_set(extra)}. Missing but required: {_set(missing)}.",
            )
        import tensorflow as tf

        return {**feeds, **{alias: tf.make_ndarray(definition.defaults[alias]) for alias in missing}}

    @staticmethod
    def _chosen(signature: Signature, outputs: tuple[str, ...]) -> tuple[str, ...]:
        for number, alias in enumerate(outputs):
            if alias not in signature.outputs:
                expected = f"Outputs expected to be in the set {_set(sorted(signature.outputs))}."
                raise Failed("INVALID_ARGUMENT", f"output tensor alias not found in signature: {alias} {expected}")
            if alias in outputs[:number]:
                raise Failed("INVALID_ARGUMENT", f"duplicate output tensor alias: {alias}")
        return outputs

    def _prepare(self, signature: str, aliases: tuple[str, ...], names: tuple[str, ...]) -> Callable[..., list[Any]]:
        spec = self.signatures[signature]
        call = callable_for(
            self._session,
            [spec.inputs[alias].name for alias in aliases],
            fetch=[spec.outputs[name].name for name in names],
            seconds=self._seconds,
        )
        self._callables[signature, aliases, names] = call
        return call


def callable_for(
    session: Any, feed: Collection[str], fetch: Collection[str] = (), target: Collection[str] = (), seconds: float = 0.0
) -> Callable[..., list[Any]]:
    """A function of the feeds, in their order, that gives the fetched tensors.

    This is the C++ Session::MakeCallable: four times as fast as Session.run, and unlike the public make_callable it does
    not compare shapes with the placeholders, which TF Serving does not do either.
    """
    from tensorflow.core.protobuf import config_pb2

    options = config_pb2.CallableOptions(feed=feed, fetch=fetch, target=target)
    options.run_options.timeout_in_ms = round(seconds * 1000)
    made: Callable[..., list[Any]] = session._make_callable_from_options(options)
    return made


class named_errors:  # in small letters: it is read as a statement
    """Turn TensorFlow's exceptions into Failed."""

    def __enter__(self) -> None:
        """Nothing to prepare: a request pays for this only where it fails."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        import tensorflow as tf

        from tfcanary.tf.wire import messages

        if isinstance(error, tf.errors.OpError):
            raise Failed(messages.Code.Name(error.error_code), error.message) from error
        if isinstance(error, ValueError | TypeError | KeyError):
            raise Failed("INVALID_ARGUMENT", str(error)) from error
        if isinstance(error, OSError):
            raise Failed("UNKNOWN", str(error)) from error


def _array(result: Any) -> np.ndarray:
    import numpy as np

    return np.array(result, dtype=object) if isinstance(result, bytes) else np.asarray(result)


def _set(names: Collection[str]) -> str:
    return f"{{{','.join(names)}}}"
