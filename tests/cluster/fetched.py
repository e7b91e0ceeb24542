"""Models in a bucket for a server that reads directories only: TF Serving reads buckets by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tfcanary.adapters.storage import open_storage

BASE = re.compile(r'base_path: "(gs://[^"]+)"')


def with_directories(command: Iterable[str]) -> Iterator[str]:
    """A server's flags, with the models of a bucket copied to this container's own folder."""
    for argument in command:
        name, _, path = argument.partition("=")
        yield f"{name}={_local(Path(path))}" if name == "--model_config_file" else argument


def _local(config: Path) -> Path:
    text = config.read_text()
    found = BASE.search(text)
    if found is None:
        return config
    folder = Path(os.environ["TMPDIR"])
    _copy(found[1], folder / "models")
    written = folder / config.name
    written.write_text(text.replace(found[1], str(folder / "models")))
    return written


def _copy(uri: str, folder: Path) -> None:
    bucket = open_storage(uri)
    for blob in bucket.list():
        if blob.name.partition("/")[0].isdecimal():
            (folder / blob.name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / blob.name).open("wb") as file:
                bucket.read(blob.name, file)
