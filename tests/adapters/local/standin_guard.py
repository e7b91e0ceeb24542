"""A small guard in the place of `tfcanary guard`: notes each start, then does what the run id says."""

from __future__ import annotations

import sys
import time
from pathlib import Path

if __name__ == "__main__":
    _, platform, model, run_id = (sys.argv[1], sys.argv[3], sys.argv[5], sys.argv[6].removeprefix("--run-id="))
    with (Path(platform.removeprefix("local://")) / "guard-starts").open("a") as file:
        file.write(f"{model} {run_id}\n")
    if run_id.startswith("dies"):
        sys.exit(7)
    if run_id.startswith("stays"):
        time.sleep(3600)
