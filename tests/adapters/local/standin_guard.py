"""A small guard in the place of `tfcanary guard`: notes each start, then does what the run id says."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tfcanary.adapters import open_platform
from tfcanary.core.plan import Plan

if __name__ == "__main__":
    _, platform, model, run_id = (sys.argv[1], sys.argv[3], sys.argv[5], sys.argv[6].removeprefix("--run-id="))
    with (Path(platform.removeprefix("local://")) / "guard-starts").open("a") as file:
        file.write(f"{model} {run_id}\n")
    if run_id.startswith("dies"):
        sys.exit(7)
    if run_id.startswith("is held up"):
        # As the guard does that finds another release in the record.
        open_platform(platform, model, Plan()).guards.stop(run_id)
        sys.exit(3)
    if run_id.startswith("stays"):
        time.sleep(3600)
