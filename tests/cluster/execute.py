"""What a forked process becomes: a container's command. `python -m tests.cluster.execute '{"command": …, "environment": …}'`."""

from __future__ import annotations

import json
import os
import signal
import sys

NOT_STARTED = 128
"""The exit code of a container whose command could not be started."""


def main(told: str) -> int:
    """Never returns where the command could be started."""
    job = json.loads(told)
    os.setsid()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what it starts would, too
    try:
        os.execvpe(job["command"][0], job["command"], job["environment"])
    except OSError as error:
        print(f"{job['command'][0]}: {error.strerror}", file=sys.stderr)
    return NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
