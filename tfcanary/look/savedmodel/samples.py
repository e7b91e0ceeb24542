"""Makes up requests from what a signature declares: for the trial, and for the warm-up of a server.

The requests are deterministic: one signature always gets the same ones.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.domain import Request
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel.facts import SignatureFact, TensorFact
from tfcanary.look.savedmodel.findings import quote
from tfcanary.look.savedmodel.reader import read

SEED = 20_260_131
"""Seed of the random values, so that every trial makes the same ones."""
SIZES = (1, 8, 32, 224)
"""Sizes that are tried in this order for a dimension, other than the batch's, that may have any size."""
ELEMENTS = 2**24
"""Largest number of elements in a row whose size is free."""
PIXEL = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8QEBD/yQALCAABAAEBAREA"
    "/8wABgAQEAX/2gAIAQEAAD8A0s8g/9k="
)
"""A JPEG image of one grey pixel."""
TEXTS: tuple[tuple[bytes, ...], ...] = (
    (b"", b"a", b"some text", "Gr\u00fc\u00dfe".encode()),
    (b"0", b"1", b"2.5"),
    (PIXEL,),
    (b"{}",),
)
"""Kinds of texts that an input may need: words, numbers, images or JSON; the trial uses the first kind that the model answers."""

UNICODE = tuple(text.encode() for text in ("名前", "e\u0301", "\u05e9\u05dc\u05d5\u05dd", "\U0001f44d\U0001f3fd", "\u200b", "a" * 1000))
"""Unusual texts: other scripts, combining characters, right to left, beyond the basic plane, invisible, long."""
LARGE = 1e4
EXTREMES = {"large numbers": "fc", "largest whole numbers": "iu", "smallest whole numbers": "iu", "unicode texts": "S"}
"""Contents of the unusual requests, each with NumPy's kinds of types for which it is made; S stands for texts."""

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class TensorRequest:
    """One request to a signature, as tensors."""

    what: str
    """Description for sentences, for example `8 rows of zeros`."""
    feeds: Feeds
    rows: int | None
    """Number of rows; None where the signature has no batch dimension."""
    content: str = ""
    """Name of the values in each row; requests of one content differ only in their number of rows."""
    ordinary: bool = True
    """Whether a sound model answers it with finite numbers; False for the extreme values of a type."""
    recorded: bool = False
    """Whether it was recorded for this model; False where it was made up from the signature."""
    label: object = None
    """The expected answer; None where it is unknown."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The choices by which requests of one signature are made up."""

    inputs: Mapping[str, TensorFact]
    size: int
    """Size of every dimension, other than the batch's, that may have any size."""
    texts: tuple[bytes, ...]
    """Values of the text inputs."""
    scalars: bool = False
    """Whether the inputs of unknown rank are single values; otherwise they have one value for each row."""

    @property
    def batched(self) -> tuple[str, ...]:
        """The inputs whose first dimension is the batch."""
        return tuple(name for name, one in self.inputs.items() if self._has_rows(one))

    @property
    def elements(self) -> int:
        """Number of elements in one row of all inputs."""
        return sum(math.prod(self._shape(one, 1)) for one in self.inputs.values())

    def request(self, what: str, rows: int, ordinary: bool = True) -> TensorRequest:
        """A request of `rows` rows with the content `what`; its first rows do not depend on the number of rows."""
        feeds = {name: self._fill(what, self._shape(one, rows), one.dtype) for name, one in self.inputs.items()}
        described = f"{rows} row{'s' * (rows != 1)} of {what}" if self.batched else what
        return TensorRequest(described, feeds, rows if self.batched else None, what, ordinary)

    def _has_rows(self, one: TensorFact) -> bool:
        return not self.scalars if one.shape is None else bool(one.shape) and one.shape[0] is None

    def _shape(self, one: TensorFact, rows: int) -> tuple[int, ...]:
        if one.shape is None:
            return () if self.scalars else (rows,)
        return tuple((rows if at == 0 else self.size) if size is None else size for at, size in enumerate(one.shape))

    def _fill(self, what: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        if dtype == "string":
            texts = UNICODE if what == "unicode texts" else self.texts if what == "random values" else self.texts[:1]
            return np.resize(np.array(texts, object), shape)
        return _FILLS.get(what, _positive)(shape, numpy_dtype(dtype))


def _random(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    random = np.random.default_rng(SEED)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        return random.integers(0, 2, shape).astype(dtype)
    return random.uniform(-1, 1, shape).astype(dtype)


def _positive(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind not in "fc":
        return np.ones(shape, dtype)
    return np.random.default_rng(SEED).uniform(0.1, 1, shape).astype(dtype)


def _large(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values of both signs, larger than any normalized input."""
    values = np.ones(math.prod(shape), dtype)
    if dtype.kind in "fc":
        values *= LARGE
        values[::2] *= -1
    return values.reshape(shape)


def _largest(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.full(shape, np.iinfo(dtype).max if dtype.kind in "iu" else 1, dtype)


def _smallest(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.full(shape, np.iinfo(dtype).min if dtype.kind in "iu" else 0, dtype)


def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.zeros(shape, dtype)


_FILLS = {
    "zeros": _zeros,
    "random values": _random,
    "large numbers": _large,
    "largest whole numbers": _largest,
    "smallest whole numbers": _smallest,
}


def recipes(signature: SignatureFact) -> Iterator[Recipe]:
    """The recipes for requests of a signature, the likeliest first. Raises Refused where values of an input's type cannot be made up."""
    for name, one in signature.inputs.items():
        if one.dtype != "string":
            numpy_dtype(one.dtype, name)
    inner = any(size is None for one in signature.inputs.values() for size in (one.shape or ())[1:])
    has_texts = any(one.dtype == "string" for one in signature.inputs.values())
    for texts, scalars in product(TEXTS if has_texts else ((),), (False, True) if has_unknown_rank(signature) else (False,)):
        for size in SIZES if inner else SIZES[:1]:
            recipe = Recipe(signature.inputs, size, texts, scalars)
            if size == SIZES[0] or recipe.elements <= ELEMENTS:
                yield recipe


def has_unknown_rank(signature: SignatureFact) -> bool:
    """Whether an input may be a single value or have rows, which the signature does not tell."""
    return any(one.shape is None for one in signature.inputs.values())


def declared_in_full(signature: SignatureFact) -> bool:
    """Whether every value of the declared types and shapes is a valid request: only fractions, and only the batch's size is free."""
    return all(
        one.dtype in ("float32", "float64") and one.shape is not None and None not in one.shape[1:] for one in signature.inputs.values()
    )


def generate_requests(model: Path, plan: ValidationPlan) -> Iterator[Request]:
    """Make up ordinary requests of every batch size of the plan, in TF Serving's JSON form.

    Raises Refused where the model lacks the plan's signature, or where values of an input's type cannot be made up.
    """
    signature = read(model).public.get(plan.signature)
    if signature is None:
        raise Refused(f"{model}: has no signature {quote(plan.signature)}")
    for one in tensor_requests(next(recipes(signature)), plan.batches):
        if one.ordinary:
            # The column format fits every signature, with or without a batch dimension.
            body = {"signature_name": plan.signature, "inputs": {name: _json(value) for name, value in one.feeds.items()}}
            yield Request(body, id=one.what)


def _json(value: NDArray[Any]) -> object:
    if value.dtype != object:
        plain: object = value.tolist()
        return plain
    if value.ndim:
        return [_json(row if isinstance(row, np.ndarray) else np.array(row, object)) for row in value]
    return {"b64": base64.b64encode(value.item()).decode()}


def tensor_requests(recipe: Recipe, batches: Sequence[int]) -> Iterator[TensorRequest]:
    """The requests of a trial: ordinary ones of each batch size, then those with extreme values."""
    for rows in batches if recipe.batched else (1,):
        for what in ("zeros", "random values"):
            yield recipe.request(what, rows)
    yield recipe.request("positive values", batches[0])
    kinds = {numpy_dtype(one.dtype).kind if one.dtype != "string" else "S" for one in recipe.inputs.values()}
    for what, of in EXTREMES.items():
        if kinds & set(of):
            yield recipe.request(what, 1, ordinary=False)


def numpy_dtype(name: str, of: str = "") -> np.dtype[Any]:
    """NumPy's type of this name, for the input `of`. Raises Refused where NumPy lacks the type."""
    try:
        return np.dtype(name)
    except TypeError as error:
        raise Refused(f"input {quote(of)} is of type {name}, whose values cannot be made up") from error
