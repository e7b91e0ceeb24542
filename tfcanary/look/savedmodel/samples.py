"""Requests made up from what a signature declares: for the trial, and to warm a server with.

The same model gets the same requests every time.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.domain import Request
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel.facts import SignatureFact, TensorFact
from tfcanary.look.savedmodel.findings import shown
from tfcanary.look.savedmodel.reader import read

SEED = 20_260_131
"""Samples are random, and the same in every trial."""
SIZES = (1, 8, 32, 224)
"""Tried one after the other where a dimension other than the batch's may have any size."""
ELEMENTS = 2**24
"""Numbers in a row at most, where its size is free."""
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
"""What a text input may want: words, numbers, images or JSON; the first kind that is answered is used."""

UNICODE = tuple(text.encode() for text in ("名前", "e\u0301", "\u05e9\u05dc\u05d5\u05dd", "\U0001f44d\U0001f3fd", "\u200b", "a" * 1000))
"""Other scripts, combining characters, right to left, beyond the basic plane, invisible, long."""
LARGE = 1e4
EXTREMES = {"large numbers": "fc", "largest whole numbers": "iu", "smallest whole numbers": "iu", "unicode texts": "S"}
"""What is asked besides, and for which kinds of numbers or texts."""

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One request, as tensors."""

    what: str
    """For sentences, for example `8 rows of zeros`."""
    feeds: Feeds
    rows: int | None
    """None: the signature has no batch."""
    content: str = ""
    """What each row is made of; samples of the same content differ in rows alone."""
    ordinary: bool = True
    """Most models answer it with numbers; the extremes of a type are not ordinary."""
    given: bool = False
    """Somebody says that it is a request for this model; else it was made up."""
    label: object = None
    """The answer that is expected, where somebody says so."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make requests of one signature."""

    inputs: Mapping[str, TensorFact]
    size: int
    """Of every dimension that may have any, but for the batch's."""
    texts: tuple[bytes, ...]

    @property
    def batched(self) -> tuple[str, ...]:
        """The inputs whose first dimension is the batch."""
        return tuple(name for name, one in self.inputs.items() if one.shape is None or (one.shape and one.shape[0] is None))

    @property
    def elements(self) -> int:
        """Numbers in one row of all inputs."""
        return sum(math.prod(self._shape(one, 1)) for one in self.inputs.values())

    def sample(self, what: str, rows: int, ordinary: bool = True) -> Sample:
        """`rows` rows; what is made of a seed is the same row by row whatever their number."""
        feeds = {name: self._fill(what, self._shape(one, rows), one.dtype) for name, one in self.inputs.items()}
        described = f"{rows} row{'s' * (rows != 1)} of {what}" if self.batched else what
        return Sample(described, feeds, rows if self.batched else None, what, ordinary)

    def _shape(self, one: TensorFact, rows: int) -> tuple[int, ...]:
        if one.shape is None:
            return (rows,)
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
    """Larger than anything that was normalized, both signs."""
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
    """Ways to make requests, the likeliest first. Raises Refused where an input is of a kind that cannot be made up."""
    for name, one in signature.inputs.items():
        if one.dtype != "string":
            numpy_dtype(one.dtype, name)
    inner = any(size is None for one in signature.inputs.values() for size in (one.shape or ())[1:])
    has_texts = any(one.dtype == "string" for one in signature.inputs.values())
    for texts in TEXTS if has_texts else ((),):
        for size in SIZES if inner else SIZES[:1]:
            recipe = Recipe(signature.inputs, size, texts)
            if size == SIZES[0] or recipe.elements <= ELEMENTS:
                yield recipe


def declared_in_full(signature: SignatureFact) -> bool:
    """Whether every value of the declared types and shapes is a request: fractions, with no open dimension but the batch's."""
    return all(
        one.dtype in ("float32", "float64") and one.shape is not None and None not in one.shape[1:] for one in signature.inputs.values()
    )


def generated(model: Path, plan: ValidationPlan) -> Iterator[Request]:
    """Ordinary requests of every batch size, in TF Serving's JSON form. Raises Refused where the model has no such signature, or none can be made up."""
    signature = read(model).public.get(plan.signature)
    if signature is None:
        raise Refused(f"{model}: has no signature {shown(plan.signature)}")
    for sample in samples(next(recipes(signature)), plan.batches):
        if sample.ordinary:
            yield Request(_body(sample.feeds, plan.signature), id=sample.what)


def _body(feeds: Feeds, signature: str) -> Mapping[str, object]:
    """Column by column: this form fits every signature, with or without a batch."""
    return {"signature_name": signature, "inputs": {name: _json(value) for name, value in feeds.items()}}


def _json(value: NDArray[Any]) -> object:
    if value.dtype != object:
        plain: object = value.tolist()
        return plain
    if value.ndim:
        return [_json(row if isinstance(row, np.ndarray) else np.array(row, object)) for row in value]
    return {"b64": base64.b64encode(value.item()).decode()}


def samples(recipe: Recipe, batches: Sequence[int]) -> Iterator[Sample]:
    """The samples of a trial: ordinary ones at each batch size, then the extremes of whole numbers."""
    for rows in batches if recipe.batched else (1,):
        for what in ("zeros", "random values"):
            yield recipe.sample(what, rows)
    yield recipe.sample("positive values", batches[0])
    kinds = {numpy_dtype(one.dtype).kind if one.dtype != "string" else "S" for one in recipe.inputs.values()}
    for what, of in EXTREMES.items():
        if kinds & set(of):
            yield recipe.sample(what, 1, ordinary=False)


def numpy_dtype(name: str, of: str = "") -> np.dtype[Any]:
    """The type of an input; raises Refused where NumPy has none."""
    try:
        return np.dtype(name)
    except TypeError as error:
        raise Refused(f"input {shown(of)} is of type {name}, which cannot be made up") from error
