"""Runs one server process, from its options to its end: load the models, listen, serve, drain."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from tfcanary.core.errors import Refused
from tfcanary.tf.modelserver import configs, http, rpc
from tfcanary.tf.modelserver.batching_parameters import read_parameters
from tfcanary.tf.modelserver.reloading import read_again
from tfcanary.tf.modelserver.request_log import LogFormat, RequestLogWriter
from tfcanary.tf.modelserver.rest import RestApi
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.service import ServerCore
from tfcanary.tf.modelserver.status import RequestError, invalid_argument

EXIT_FAILURE = 255
"""The exit code of a server that could not start: the original exits with -1, which a shell sees as 255."""


def run(options: Options) -> int:
    """Serve until a signal ends the process; return the exit code."""
    try:
        _check(options)
        models, metrics_path = configs.read_models(options), configs.metrics_path(options)
        core = ServerCore(options, read_parameters(options))
        if core.faults:
            print(f"Faults are injected into the responses: {core.faults.text}", file=sys.stderr)
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(core.manager.stop)
            core.manager.start(models)
            log = _request_log(options, core) if options.request_log_dir else None
            if log:
                cleanup.callback(log.close)
            cleanup.enter_context(read_again(core.manager, options))
            _serve(options, rpc.GrpcApi(core, log), RestApi(core, metrics_path, log))
    except RequestError as error:
        return _fail(f"{error.code}: {error}")
    except (Refused, OSError, RuntimeError) as error:
        return _fail(str(error))
    return 0


def _fail(problem: str) -> int:
    print(f"Failed to start server. Error: {problem}", file=sys.stderr)
    return EXIT_FAILURE


def _check(options: Options) -> None:
    """Raise RequestError where the flags contradict each other."""
    if not (options.port or options.grpc_socket_path or options.ports_file):
        raise invalid_argument("At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.")
    session, intra = options.tensorflow_session_parallelism, options.tensorflow_intra_op_parallelism
    if session > 0 and intra > 0 and options.tensorflow_inter_op_parallelism > 0:
        raise invalid_argument(
            "Either configure server_options.tensorflow_session_parallelism or (server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) separately. You cannot configure all."
        )


def _request_log(options: Options, core: ServerCore) -> RequestLogWriter:
    folder, share = Path(options.request_log_dir), options.request_log_sample
    form = LogFormat(options.request_log_format)
    return RequestLogWriter(folder, share, options.request_log_rows, options.request_log_seconds, core.page.request_logs.add, form)


def _serve(options: Options, grpc_api: rpc.GrpcApi, rest_api: RestApi) -> None:
    """Open the ports and serve; return after a signal, once the last request has ended or its time is over."""
    drain = options.drain_seconds if options.drain_seconds or options.request_log_dir else None
    grpc_server = rpc.start(grpc_api, _grpc_addresses(options), options)
    sockets = [http.listen(options.host, options.rest_api_port)] if _has_rest(options) else []
    ports = {"rest": sockets[0].getsockname()[1] if sockets else 0, "grpc": grpc_server.port if _has_grpc_port(options) else 0}
    server = http.HttpServer(
        http.Application(rest_api, options.rest_threads, is_quick=not options.enable_batching),
        drain,
        on_start=lambda: _announce(ports, options),
        on_shutdown=lambda: grpc_server.stop(drain),
    )
    server.run(sockets)
    grpc_server.stop(drain).wait()


def _grpc_addresses(options: Options) -> list[str]:
    """Return the addresses on which gRPC listens: the port, where there is one, then the Unix socket."""
    host = options.host or "0.0.0.0"  # noqa: S104  # as the original
    addresses = [f"{host}:{options.port}"] if _has_grpc_port(options) else []
    return addresses + ([f"unix:{options.grpc_socket_path}"] if options.grpc_socket_path else [])


def _has_grpc_port(options: Options) -> bool:
    return bool(options.port or options.ports_file)


def _has_rest(options: Options) -> bool:
    """Tell whether REST is served; as with the original, it is not where its port is that of gRPC."""
    if options.rest_api_port and options.rest_api_port == options.port:
        print(
            "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
            "Skipped exporting HTTP/REST API.",
            file=sys.stderr,
        )
        return False
    return bool(options.rest_api_port or options.ports_file)


def _announce(ports: dict[str, int], options: Options) -> None:
    """Print where the server listens, as the original does, and write the ports file.

    The ports file is written in one step, so that its reader never sees a part of it.
    """
    if ports["grpc"]:
        _say(f"Running gRPC ModelServer at {options.host or '0.0.0.0'}:{ports['grpc']} ...")  # noqa: S104  # printed, not listened on
    if options.grpc_socket_path:
        _say(f"Running gRPC ModelServer at UNIX socket {options.grpc_socket_path} ...")
    if ports["rest"]:
        _say(f"Exporting HTTP/REST API at:localhost:{ports['rest']} ...")
    if options.ports_file:
        partial = Path(f"{options.ports_file}.{os.getpid()}")
        partial.write_text(json.dumps(ports))
        partial.replace(options.ports_file)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
