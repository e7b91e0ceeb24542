"""Which programs the supervisor runs, and in which environment; tests put small ones in their place."""

from __future__ import annotations

import os
import site
import sys
from dataclasses import dataclass
from pathlib import Path

import tfcanary


@dataclass(frozen=True, slots=True)
class Program:
    """Python modules, run as `python -m` does."""

    server: str = "tfcanary.tf.modelserver"
    """Understands the flags of `tensorflow_model_server` and `--ports_file`."""
    preload: tuple[str, ...] = ("tensorflow",)
    """Imported once, by the process that the servers are forked from: 0.2 s each then, not 3."""
    guard: str = "tfcanary"
    """Its `guard` command watches a release that no step watches."""
    answer_within: float = 10.0
    """Seconds in which a forked server must open its ports; else it is killed and started as a process of its own, which has no deadline."""


def environment() -> dict[str, str]:
    """For the supervisor and all below it: this very tfcanary, and never a module of the folder where somebody happens to stand."""
    home = str(Path(tfcanary.__file__).resolve().parents[1])
    path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if home not in (*path, *site.getsitepackages(), site.getusersitepackages()):
        path.append(home)
    return {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path)}


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]
