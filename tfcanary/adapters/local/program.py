"""The programs that the supervisor runs, and their environment; tests put small programs in their place."""

from __future__ import annotations

import os
import site
import sys
from dataclasses import dataclass
from pathlib import Path

import tfcanary


@dataclass(frozen=True, slots=True)
class Program:
    """The Python modules that the supervisor runs, as `python -m` does."""

    server: str = "tfcanary.tf.modelserver"
    """The model server: it understands the flags of `tensorflow_model_server`, and `--ports_file`."""
    preload: tuple[str, ...] = ("tensorflow",)
    """What the fork parent imports once: a server takes 0.2 s then, not 3."""
    guard: str = "tfcanary"
    """The program whose `guard` command watches a release that no step watches."""
    answer_within: float = 10.0
    """Seconds in which a forked server must open its ports; else it is killed and started as a process of its own, which has no deadline."""


def environment() -> dict[str, str]:
    """Return the environment of the supervisor and of all below it: this very tfcanary, and no module of the present working directory."""
    home = str(Path(tfcanary.__file__).resolve().parents[1])
    path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if home not in (*path, *site.getsitepackages(), site.getusersitepackages()):
        path.append(home)
    return {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path)}


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]
