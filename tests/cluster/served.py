"""What a process forked from one with TensorFlow in memory becomes: tfcanary's model server, as TF Serving is in a container.

There it is process 1 and has no handler for SIGTERM, so it serves on until it is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from tests.cluster.fetched import with_directories
from tfcanary.tf.modelserver.__main__ import main as serve


def main(told: str) -> int:
    """Serve until killed."""
    job = json.loads(told)
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.environ.update(job["environment"])
    return serve([*with_directories(job["command"])])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
