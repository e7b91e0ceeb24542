"""`serve`: one SavedModel, served as TF Serving would, until Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import click

from tfcanary.cli import options
from tfcanary.core.domain import NAME
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel.tree import MODEL

ANY_NUMBER = 1
"""The version of a directory whose name is no number."""
DRAIN = 5.0
"""Seconds for the last requests after Ctrl-C."""
LONGEST = 300
"""Characters of a request that anybody would paste; a longer one is written to a file."""


@click.command(short_help="Serve one SavedModel as TensorFlow Serving would.")
@click.argument("model", type=click.Path(path_type=Path))
@options.name(required=True, text="The name under which it is served.")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True, help="REST, status and metrics.")
@click.option("--grpc-port", type=click.IntRange(1, 65535), default=8500, show_default=True, help="gRPC.")
@click.option("--listen", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen; 0.0.0.0 is everywhere.")
def serve(model: Path, name: str, port: int, grpc_port: int, listen: str) -> None:
    """Serve MODEL in the foreground with the API of TF Serving, for a try; Ctrl-C ends it.

    MODEL is a SavedModel, or a directory of numbered versions of which the highest is served. Exit 0 after Ctrl-C, 2 bad
    input, 3 it could not start.

    \b
    Example:  tfcanary serve exports/v2 --name digits --port 8501
    """
    if not NAME.fullmatch(name):
        raise Refused(f"--name {name!r}: must be at most 50 lower-case letters, digits and hyphens, with a letter or digit at both ends")
    version, number = _version(model)
    with tempfile.TemporaryDirectory(prefix="tfcanary-serve-") as folder:
        arguments = _arguments(Path(folder), version, number, name)
        click.echo(f"{version} as {name}, version {number}; TensorFlow is being started", err=True)
        click.echo(curl(version, f"http://{_reached(listen)}:{port}/v1/models/{name}:predict", Path(folder)))
        code = _run([*arguments, f"--rest_api_port={port}", f"--port={grpc_port}", f"--host={listen}"])
    sys.exit(3 if code else 0)


def _version(model: Path) -> tuple[Path, int]:
    """The directory that is served, and its number; raises Refused where there is no SavedModel."""
    found = model.resolve()
    if (found / MODEL).is_file():
        return found, int(found.name) if _is_number(found.name) else ANY_NUMBER
    versions = {int(one.name): one for one in (found.iterdir() if found.is_dir() else ()) if _is_number(one.name)}
    if not versions:
        raise Refused(f"{model}: is no SavedModel (it has no {MODEL}), nor a directory of numbered versions")
    highest = max(versions)
    if not (versions[highest] / MODEL).is_file():
        raise Refused(f"{versions[highest]}: is no SavedModel: it has no {MODEL}")
    return versions[highest], highest


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= 18


def _arguments(folder: Path, version: Path, number: int, name: str) -> list[str]:
    """The server's flags for this one version, whatever its directory is called."""
    base = folder / "versions"
    base.mkdir()
    (base / str(number)).symlink_to(version, target_is_directory=True)
    monitoring = folder / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    files = [f"--model_base_path={base}", f"--monitoring_config_file={monitoring}"]
    return [f"--model_name={name}", *files, "--max_num_load_retries=0", "--file_system_poll_wait_seconds=0", f"--drain_seconds={DRAIN}"]


def _reached(listen: str) -> str:
    return "127.0.0.1" if listen in ("", "0.0.0.0") else listen  # noqa: S104  # compared, not listened on


def curl(version: Path, address: str, folder: Path) -> str:
    """The line that tries it, with a request made up from the signature; a long one lies in the folder."""
    from tfcanary.look.savedmodel.samples import generate_requests

    try:
        body = json.dumps(next(generate_requests(version, ValidationPlan(batches=(1,)))).body, separators=(",", ":"))
    except (Refused, StopIteration):
        return f"curl -d '{{\"instances\": [...]}}' {address}"
    if len(body) <= LONGEST:
        return f"curl -d {shlex.quote(body)} {address}"
    (folder / "request.json").write_text(body)
    return f"curl -d @{shlex.quote(str(folder / 'request.json'))} {address}"


def _run(arguments: list[str]) -> int:
    """The server in this process; Ctrl-C while TensorFlow is loading ends it, too."""
    from tfcanary.tf import modelserver

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # else pages of TensorFlow's own hide the line to try
    signal.signal(signal.SIGINT, _ended)
    options_, _ = modelserver.parse(arguments)
    return modelserver.serve(options_)


def _ended(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
