"""Looks at the models' base paths: which versions are there, and which of them each model's policy wants."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from tfcanary.tf.modelserver.configs import ModelConfig
from tfcanary.tf.modelserver.status import invalid_argument

VERSION_NAME = re.compile(r"[0-9]+", re.ASCII)
"""The names of files that are versions; the original looks at nothing but the name."""
LARGEST_VERSION = 2**63 - 1

ListDirectory = Callable[[Path], Collection[str]]
"""A function that returns the names in a directory; raises OSError where it cannot be read."""
Versions = Mapping[int, Path]
"""The path of each version, by its number."""


def look(configs: Collection[ModelConfig], list_directory: ListDirectory) -> tuple[dict[str, Versions], tuple[str, ...]]:
    """Return the aspired versions of each model, and a warning for each version that is wanted and missing.

    Raises RequestError where one base path cannot be read: then nothing is known of any model, as with the original.
    """
    aspired: dict[str, Versions] = {}
    warnings: list[str] = []
    for config in configs:
        try:
            names = list_directory(config.base_path)
        except OSError as error:
            reason = f"NOT_FOUND: {config.base_path} not found" if isinstance(error, FileNotFoundError) else f"UNKNOWN: {error.strerror}"
            raise invalid_argument(f"Could not find base path {config.base_path} for servable {config.name} with error {reason}") from error
        aspired[config.name] = aspired_versions(config, names)
        warnings += _warnings(config, aspired[config.name])
    return aspired, tuple(warnings)


def aspired_versions(config: ModelConfig, names: Collection[str]) -> Versions:
    """Return the versions among the names in the base path that the model's policy wants; of `007` and `7` the last is taken."""
    numbers = {int(name): name for name in sorted(names) if VERSION_NAME.fullmatch(name) and int(name) <= LARGEST_VERSION}
    if config.specific is not None:
        wanted = sorted(config.specific & numbers.keys())
    else:
        wanted = sorted(numbers, reverse=True)[: config.latest]
    return {number: config.base_path / numbers[number] for number in wanted}


def _warnings(config: ModelConfig, aspired: Versions) -> Iterator[str]:
    for number in sorted((config.specific or frozenset()) - aspired.keys()):
        wish = "which was requested to be served as a 'specific' version in the servable's version policy"
        yield f"Version {number} of servable {config.name}, {wish}, was not found in the file system"
    if not aspired:
        hint = "Did you forget to name your leaf directory as a number (eg. '/1/')?"
        yield f"No versions of servable {config.name} found under base path {config.base_path}. {hint}"
