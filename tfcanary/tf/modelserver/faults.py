"""Makes a server slow or wrong on purpose, so that people can watch a release being rolled back: `--inject=latency=+30%,errors=2%`.

Nothing is injected by default. What is injected stands in the model's metadata, in the log and on the metrics page.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver.page import Counter
from tfcanary.tf.modelserver.status import RequestError

Outputs = dict[str, np.ndarray]

_PERCENT = re.compile(r"\+?([0-9]+(?:\.[0-9]+)?)%")
_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Faults:
    """What is injected into the responses of all models; by default nothing."""

    latency: float = 0.0
    """The part of its own time by which each request is delayed: 0.3 makes it 30 % slower."""
    delay: float = 0.0
    """The seconds by which each request is delayed."""
    errors: float = 0.0
    """The share of the requests that fail with INTERNAL."""
    nan: float = 0.0
    """The share of the requests whose floating-point outputs are NaN."""
    after: float = 0.0
    """The seconds after the start of the server before which nothing is injected."""

    def __bool__(self) -> bool:
        return any((self.latency, self.delay, self.errors, self.nan))


def parse(text: str) -> Faults:
    """Return the faults that the value of `--inject` describes; raises Refused where it cannot be understood."""
    values: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        for field, number in _fields(name.strip(), value.strip(), part):
            if field in values:
                raise Refused(f"--inject={text}: {name} stands there twice")
            values[field] = number
    faults = Faults(**values)
    if text and not faults:
        raise Refused(f"--inject={text}: must name a fault, such as latency=+30%, latency=+20ms, errors=2% or nan=1%")
    return faults


def _fields(name: str, value: str, part: str) -> Iterator[tuple[str, float]]:
    """Yield the field of Faults that one part of the flag sets, and its value; raises Refused for a part without one."""
    percent, seconds = _PERCENT.fullmatch(value), _SECONDS.fullmatch(value.removeprefix("+"))
    if name == "latency" and percent:
        yield "latency", float(percent[1]) / 100
    elif name == "latency" and seconds:
        yield "delay", float(seconds[1]) * _UNITS[seconds[2]]
    elif name == "after" and seconds and not value.startswith("+"):
        yield "after", float(seconds[1]) * _UNITS[seconds[2]]
    elif name in ("errors", "nan") and percent and float(percent[1]) <= 100 and not value.startswith("+"):
        yield name, float(percent[1]) / 100
    else:
        expected = {
            "latency": "must be a percentage or a time to add, such as latency=+30% or latency=+20ms",
            "after": "must be a time, such as after=60s",
            "errors": "must be a share from 0% to 100%, such as errors=2%",
            "nan": "must be a share from 0% to 100%, such as nan=1%",
        }
        raise Refused(f"--inject: {part!r}: {expected.get(name, 'must be one of latency=, errors=, nan= and after=')}")


class FaultInjector:
    """Injects faults into requests, and counts them; its methods may be called from several threads."""

    def __init__(
        self,
        text: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        random: Random | None = None,
    ) -> None:
        """Begin to count the time `after` now; raises Refused where `text`, the value of `--inject`, cannot be understood."""
        self.text = text
        self.counts = Counter(":tfcanary:serving:injected_fault_count", "faults", "kind")
        """The requests into which a fault was injected."""
        self._faults = parse(text)
        self._clock = clock
        self._sleep = sleep
        self._random = random or Random()
        self._lock = threading.Lock()
        self._begin = clock() + self._faults.after
        for kind, size in (
            ("latency", self._faults.latency + self._faults.delay),
            ("error", self._faults.errors),
            ("nan", self._faults.nan),
        ):
            if size:
                self.counts.add(text, kind, amount=0)

    def run(self, function: Callable[[], Outputs]) -> Outputs:
        """Call the function, which runs the model, and return its outputs with the faults in them; raises RequestError for an error."""
        start = self._clock()
        if start < self._begin:
            return function()
        if self._happens(self._faults.errors, "error"):
            raise RequestError("INTERNAL", f"an injected error (--inject={self.text})")
        outputs = function()
        if self._happens(self._faults.nan, "nan"):
            outputs = _spoil(outputs)
        seconds = self._faults.delay + self._faults.latency * (self._clock() - start)
        if seconds:
            self.counts.add(self.text, "latency")
            self._sleep(seconds)
        return outputs

    def _happens(self, share: float, kind: str) -> bool:
        with self._lock:
            if self._random.random() >= share:
                return False
        self.counts.add(self.text, kind)
        return True


def _spoil(outputs: Mapping[str, np.ndarray]) -> Outputs:
    return {name: np.full_like(array, math.nan) if array.dtype.kind == "f" else array for name, array in outputs.items()}
