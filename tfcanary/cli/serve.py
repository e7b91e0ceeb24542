"""The verb `serve`: serves one SavedModel with the API of TensorFlow Serving, until Ctrl-C."""

from __future__ import annotations

import importlib.util
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

UNNUMBERED = 1
"""The version number of a directory whose name is not a number."""
DRAIN = 5.0
"""Seconds for the last requests after Ctrl-C."""
LARGEST_VERSION = 2**63 - 1
"""The largest version number; nanoseconds since 1970 are still below it."""
MODULES = ("tensorflow", "uvicorn", "orjson")
"""Modules that the server needs and that only the extra `local` installs; the search for them is quicker than their import."""
LONGEST = 300
"""The largest number of characters of a request in the printed command; a longer request is written into a file."""


@click.command(short_help="Serve one SavedModel as TensorFlow Serving would.")
@click.argument("model", type=click.Path(path_type=Path))
@options.name(required=True, text="The name under which it is served.")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True, help="The port of REST, status and metrics.")
@click.option("--grpc-port", type=click.IntRange(1, 65535), default=8500, show_default=True, help="The port of gRPC.")
@click.option(
    "--listen", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen on; 0.0.0.0: all addresses."
)
@click.option(
    "--inject", default="", metavar="FAULTS", help="Faults to inject, such as latency=+30%,errors=2%,nan=1%,after=60s; by default none."
)
def serve(model: Path, name: str, port: int, grpc_port: int, listen: str, inject: str) -> None:
    """Serve MODEL in the foreground with the API of TensorFlow Serving, to try it; Ctrl-C ends it.

    MODEL is a SavedModel, or a directory of numbered versions of which the highest is served. Exit 0 after Ctrl-C, 2 bad
    input, 3 it could not start.

    \b
    Example:  tfcanary serve exports/v2 --name digits --port 8501
    """
    if not NAME.fullmatch(name):
        raise Refused(f"--name {name!r}: must be at most 50 lower-case letters, digits and hyphens, with a letter or digit at both ends")
    _check_faults(inject)
    version, number = _version(model)
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    with tempfile.TemporaryDirectory(prefix="tfcanary-serve-") as folder:
        arguments = _arguments(Path(folder), version, number, name)
        click.echo(f"{version} as {name}, version {number}; TensorFlow is being started", err=True)
        client_address = "127.0.0.1" if listen in ("", "0.0.0.0") else listen  # noqa: S104  # compared, not listened on
        click.echo(curl_command(version, f"http://{client_address}:{port}/v1/models/{name}:predict", Path(folder)))
        code = _run([*arguments, f"--rest_api_port={port}", f"--port={grpc_port}", f"--host={listen}", f"--inject={inject}"])
    sys.exit(3 if code else 0)


def _check_faults(text: str) -> None:
    """Raise Refused where the value of `--inject` cannot be understood."""
    from tfcanary.tf.modelserver import faults

    faults.parse(text)


def _version(model: Path) -> tuple[Path, int]:
    """Return the directory that is served, and its version number; raises Refused where there is no SavedModel."""
    folder = model.resolve()
    if (folder / MODEL).is_file():
        return folder, int(folder.name) if _is_number(folder.name) else UNNUMBERED
    versions = {int(one.name): one for one in (folder.iterdir() if folder.is_dir() else ()) if _is_number(one.name)}
    if not versions:
        raise Refused(f"{model}: is no SavedModel (it has no {MODEL}), nor a directory of numbered versions")
    highest = max(versions)
    if not (versions[highest] / MODEL).is_file():
        raise Refused(f"{versions[highest]}: is no SavedModel: it has no {MODEL}")
    return versions[highest], highest


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and int(name) <= LARGEST_VERSION


def _arguments(folder: Path, version: Path, number: int, name: str) -> list[str]:
    """Return the server's flags for this one version; `folder` gets a link to it under its number."""
    base = folder / "versions"
    base.mkdir()
    (base / str(number)).symlink_to(version, target_is_directory=True)
    monitoring = folder / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    files = [f"--model_base_path={base}", f"--monitoring_config_file={monitoring}"]
    return [f"--model_name={name}", *files, "--max_num_load_retries=0", "--file_system_poll_wait_seconds=0", f"--drain_seconds={DRAIN}"]


def curl_command(version: Path, address: str, folder: Path) -> str:
    """Return a command that sends a request made from the model's signature; a long request is written into `folder`."""
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
    """Run the server in this process; returns its exit code. Ctrl-C also works while TensorFlow is being loaded."""
    from tfcanary.tf import modelserver

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # else the log of TensorFlow hides the printed command
    signal.signal(signal.SIGINT, _exit)
    server_options, _ = modelserver.parse(arguments)
    return modelserver.serve(server_options)


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
