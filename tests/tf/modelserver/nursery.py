"""A process that has imported TensorFlow and forks a model server for each order: a start takes 0.2 s, not ten.

An order is one line of its input, a JSON object: `{"start": [arguments], "output": file}` is answered with the pid,
`{"wait": pid}` with the exit code. At the end of its input it kills the servers that it has started.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys

from tfcanary.tf.modelserver.__main__ import main
from tfcanary.tf.runtime import import_tensorflow


def start(arguments: list[str], output: str) -> int:
    pid = os.fork()
    if pid == 0:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor in (1, 2):
            os.dup2(file, descriptor)
        os._exit(main(arguments))
    return pid


def serve() -> None:
    import_tensorflow()
    gc.collect()
    gc.freeze()
    alive: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "start" in order:
            answer = start(order["start"], order["output"])
            alive.add(answer)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
            alive.discard(order["wait"])
        print(json.dumps(answer), flush=True)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve()
