"""Runs one server process, from its options to its end: load the models, listen, serve, drain."""

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
from tfcanary.tf.modelserver.request_log import LogFormat, RequestLogWriter
from tfcanary.tf.modelserver.rest import RestApi
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.service import ServerCore

EXIT_FAILURE = 255
"""The exit code of a server that could not start: the original exits with -1, which a shell sees as 255."""


def run(options: Options) -> int:
    """Serve until a signal ends the process; return the exit code."""
    try:
        models, metrics_path = configs.models(options), configs.metrics_path(options)
        core = ServerCore(models, options)
        if core.faults:
            print(f"Faults are injected into the responses: {core.faults.text}", file=sys.stderr)
        _load(core, models, options)
        with contextlib.ExitStack() as cleanup:
            log = _request_log(options, core) if options.request_log_dir else None
            if log:
                cleanup.callback(log.close)
            cleanup.enter_context(_poll_in_background(core, options.file_system_poll_wait_seconds))
            _serve(options, rpc.GrpcApi(core, log), RestApi(core, metrics_path, log))
    except (Refused, OSError, RuntimeError) as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr)
        return EXIT_FAILURE
    return 0


def _load(core: ServerCore, models: tuple[ModelConfig, ...], options: Options) -> None:
    """Wait until every model has a version, loaded or failed; raises Refused where a model has none that serves."""
    if not options.allow_version_labels_for_unavailable_models:
        for name, version in ((model.name, version) for model in models for version in model.labels.values()):
            problem = "which is not currently available for inference"
            raise Refused(f"FAILED_PRECONDITION: Request to assign label to version {version} of model {name}, {problem}")
    core.poll()
    while core.lacks_versions():
        time.sleep(max(options.file_system_poll_wait_seconds, 1))
        core.poll()
    if failures := core.failures():
        raise Refused(f"UNKNOWN: {len(failures)} servable(s) did not become available: {{{', '.join(failures)}}}")


def _request_log(options: Options, core: ServerCore) -> RequestLogWriter:
    folder, share = Path(options.request_log_dir), options.request_log_sample
    form = LogFormat(options.request_log_format)
    return RequestLogWriter(folder, share, options.request_log_rows, options.request_log_seconds, core.page.request_logs.add, form)


@contextlib.contextmanager
def _poll_in_background(core: ServerCore, seconds: float) -> Iterator[None]:
    """Look for new versions every `seconds`, in a thread; never where `seconds` is not positive."""
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(seconds):
            core.poll()

    if seconds > 0:
        threading.Thread(target=poll, name="versions", daemon=True).start()
    yield
    stop.set()
    core.stop()


def _serve(options: Options, grpc_api: rpc.GrpcApi, rest_api: RestApi) -> None:
    """Open the ports and serve; return after a signal, once the last request has ended or its time is over."""
    drain = options.drain_seconds if options.drain_seconds or options.request_log_dir else None
    host = options.host or "0.0.0.0"  # noqa: S104  # as the original
    has_health = options.enable_grpc_healthcheck_service
    grpc_server = rpc.start(grpc_api, f"{host}:{options.port}", has_health) if options.port or options.ports_file else None
    sockets = [http.listen(options.host, options.rest_api_port)] if _has_rest(options) else []
    ports = {"rest": sockets[0].getsockname()[1] if sockets else 0, "grpc": grpc_server.port if grpc_server else 0}
    server = http.HttpServer(
        http.Application(rest_api),
        drain,
        on_start=lambda: _announce(ports, options.ports_file),
        on_shutdown=lambda: grpc_server and grpc_server.stop(drain),
    )
    server.run(sockets)
    if grpc_server:
        grpc_server.stop(drain).wait()


def _has_rest(options: Options) -> bool:
    """Tell whether REST is served; as with the original, it is not where its port is that of gRPC."""
    if options.rest_api_port and options.rest_api_port == options.port:
        print("--rest_api_port cannot be same as --port. Please use a different port for HTTP/REST API.", file=sys.stderr)
        return False
    return bool(options.rest_api_port or options.ports_file)


def _announce(ports: dict[str, int], file: str) -> None:
    """Print the ports, and write them to the ports file in one step, so that its reader never sees a part of it."""
    print(f"Running gRPC ModelServer at port {ports['grpc']}, REST at port {ports['rest']} ...", file=sys.stderr, flush=True)
    if file:
        partial = Path(f"{file}.{os.getpid()}")
        partial.write_text(json.dumps(ports))
        partial.replace(file)
