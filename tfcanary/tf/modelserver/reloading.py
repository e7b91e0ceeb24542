"""Takes a new config over while the server runs: from the config file, read again and again, or from a gRPC request."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from tfcanary.tf.modelserver import configs
from tfcanary.tf.modelserver.manager import ModelManager
from tfcanary.tf.modelserver.server_options import Options
from tfcanary.tf.modelserver.service import ServerCore
from tfcanary.tf.modelserver.status import RequestError, invalid_argument
from tfcanary.tf.wire import messages


def handle_reload(core: ServerCore, request: Any, is_wanted: Callable[[], bool]) -> Any:
    """Take over the config of a ReloadConfigRequest, and return the response once every new model serves.

    Raises RequestError where the config cannot be taken over, a new model cannot be loaded, or the client has left.
    """
    before = _first_values(core.page.text(), request.metric_names)
    models = configs.models(request.config)
    if models is None:
        raise invalid_argument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
        )
    core.manager.reload(models, is_wanted)
    after = _first_values(core.page.text(), request.metric_names)
    metrics = [{"name": name, "int64_value_increase": after[name] - before[name]} for name in after]
    return messages.ReloadConfigResponse(status={"error_code": "OK"}, metric=metrics)


@contextlib.contextmanager
def read_again(manager: ModelManager, options: Options) -> Iterator[None]:
    """Read the config file every `model_config_file_poll_wait_seconds`, in a thread, and take it over, changed or not.

    A file that cannot be used changes nothing; why is printed, once until something else is wrong.
    """
    seconds, stop, said = options.model_config_file_poll_wait_seconds, threading.Event(), ""

    def read() -> None:
        nonlocal said
        while not stop.wait(seconds):
            problem = _read_once(manager, options, lambda: not stop.is_set())
            if problem and problem != said:
                print(problem, file=sys.stderr, flush=True)
            said = problem

    if options.model_config_file and seconds > 0:
        threading.Thread(target=read, name="config", daemon=True).start()
    yield
    stop.set()


def _read_once(manager: ModelManager, options: Options, is_wanted: Callable[[], bool]) -> str:
    """Take the file over; return what was wrong, or an empty text."""
    try:
        models = configs.read_models(options)
    except RequestError as error:
        return f"Failed to read ModelServerConfig file: {error}"
    try:
        manager.reload(models, is_wanted)
    except RequestError as error:
        return f"PollFilesystemAndReloadConfig failed to ReloadConfig: {error}"
    return ""


def _first_values(page: str, names: Collection[str]) -> Mapping[str, int]:
    """Return the value of the first series of each counter; 0 where it has none. A name is TensorFlow's own, with slashes."""
    values = {}
    for name in names:
        series = f"{name.replace('/', ':')}{{"
        values[name] = next((int(float(line.rpartition(" ")[2])) for line in page.splitlines() if line.startswith(series)), 0)
    return values
