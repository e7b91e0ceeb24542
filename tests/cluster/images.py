"""What stands for an image on a node of processes: the name of a repository, and how its containers are started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PYTHON = ("python", "python3")


@dataclass(frozen=True)
class Start:
    """How a container's process comes to be."""

    module: str
    command: tuple[str, ...]
    preloaded: bool = False
    """Forked from the process that has TensorFlow in memory."""


Image = Callable[[Sequence[str], Sequence[str], str], Start]
"""From the container's command and arguments, and the pod's address."""


def program(command: Sequence[str], arguments: Sequence[str], address: str) -> Start:
    """The command as it is, with this interpreter as `python`."""
    first, *others = command or ("python",)
    return Start("tests.cluster.execute", (sys.executable if first in PYTHON else first, *others, *arguments))


def model_server(command: Sequence[str], arguments: Sequence[str], address: str) -> Start:
    """tfcanary's own server with TF Serving's flags, on the pod's address alone: all pods share this machine."""
    return Start("tests.cluster.served", (*arguments, f"--host={address}"), preloaded=True)


IMAGES: dict[str, Image] = {
    "tensorflow-serving": model_server,
    "tensorflow/serving": model_server,
    "tfcanary": program,
    "python": program,
}


def repository(image: str) -> str:
    """The name without digest, tag: `registry:5000/a/b:1@sha256:…` is `registry:5000/a/b`."""
    name = image.partition("@")[0]
    host, slash, last = name.rpartition("/")
    return host + slash + last.partition(":")[0]
