"""One server process from its options to its end: load, listen, serve, drain."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver import configs, http, rpc
from tfcanary.tf.modelserver.configs import ModelConfig
from tfcanary.tf.modelserver.request_log import RequestLog
from tfcanary.tf.modelserver.rest import Rest
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.service import Service

FAILED = 255
"""The exit code of a server that could not start: the original's -1, as a shell sees it."""


def run(options: Options) -> int:
    """Serve until the process is told to end; the exit code."""
    try:
        found, metrics_path = configs.models(options), configs.metrics_path(options)
        service = Service(found, options)
        _load(service, found, options)
        with contextlib.ExitStack() as cleanup:
            log = cleanup.enter_context(_request_log(options, service)) if options.request_log_dir else None
            cleanup.enter_context(_polling(service, options.file_system_poll_wait_seconds))
            _serve(options, rpc.Rpc(service, log), Rest(service, metrics_path, log))
    except (Refused, OSError, RuntimeError) as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr)
        return FAILED
    return 0


def _load(service: Service, found: tuple[ModelConfig, ...], options: Options) -> None:
    """Load the first versions; raises Refused where a model has none that serves."""
    if not options.allow_version_labels_for_unavailable_models:
        for name, version in ((config.name, version) for config in found for version in config.labels.values()):
            words = "which is not currently available for inference"
            raise Refused(f"FAILED_PRECONDITION: Request to assign label to version {version} of model {name}, {words}")
    service.poll()
    while service.waiting():
        time.sleep(max(options.file_system_poll_wait_seconds, 1))
        service.poll()
    if failures := service.failures():
        raise Refused(f"UNKNOWN: {len(failures)} servable(s) did not become available: {{{', '.join(failures)}}}")


@contextlib.contextmanager
def _request_log(options: Options, service: Service) -> Iterator[RequestLog]:
    folder, share = Path(options.request_log_dir), options.request_log_sample
    log = RequestLog(folder, share, options.request_log_rows, options.request_log_seconds, service.page.logged.add)
    with contextlib.closing(log):
        yield log


@contextlib.contextmanager
def _polling(service: Service, seconds: float) -> Iterator[None]:
    """Look for versions every so often, in a thread."""
    ended = threading.Event()

    def poll() -> None:
        while not ended.wait(seconds):
            service.poll()

    if seconds > 0:
        threading.Thread(target=poll, name="versions", daemon=True).start()
    yield
    ended.set()
    service.stop()


def _serve(options: Options, grpc_calls: rpc.Rpc, rest_calls: Rest) -> None:
    """Open the ports, and return when the process was told to end and the last request is answered."""
    drain = options.drain_seconds if options.drain_seconds or options.request_log_dir else None
    host = options.host or "0.0.0.0"  # noqa: S104  # as the original
    listener = rpc.start(grpc_calls, f"{host}:{options.port}") if options.port or options.ports_file else None
    sockets = [http.listen(options.host, options.rest_api_port)] if _has_rest(options) else []
    ports = {"rest": sockets[0].getsockname()[1] if sockets else 0, "grpc": listener.port if listener else 0}
    server = http.Server(
        http.Application(rest_calls),
        drain,
        serving=lambda: _announce(ports, options.ports_file),
        ending=lambda: listener and listener.stop(drain),
    )
    server.run(sockets)
    if listener:
        listener.stop(drain).wait()


def _has_rest(options: Options) -> bool:
    if options.rest_api_port and options.rest_api_port == options.port:
        print("--rest_api_port cannot be same as --port. Please use a different port for HTTP/REST API.", file=sys.stderr)
        return False
    return bool(options.rest_api_port or options.ports_file)


def _announce(ports: dict[str, int], file: str) -> None:
    print(f"Running gRPC ModelServer at port {ports['grpc']}, REST at port {ports['rest']} ...", file=sys.stderr, flush=True)
    if file:
        aside = Path(f"{file}.{os.getpid()}")
        aside.write_text(json.dumps(ports))
        aside.replace(file)
