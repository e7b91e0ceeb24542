"""A pipeline on this machine: KFP's local runner in a process of its own, so that its many lines of output go to a log file.

The process has a session of its own, too: Ctrl-C in a terminal reaches only the command line, which rolls back first.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from tfcanary.run.submit import Submission, package

LOG = "pipeline.log"
STEP_FAILED = re.compile(r"finished with status \S*FAILURE")
"""What KFP's local runner writes when a step has failed."""
ERROR = re.compile(r"^\s*(?:tfcanary\.core\.errors\.\w+: (?=\S)|(?=[\w.]*(?:Error|Exception)\b(?::|$)))(.+)$", re.MULTILINE)
"""The last line of a Python traceback; of an error of tfcanary only its words."""


@dataclass(slots=True)
class LocalRun:
    """A pipeline that KFP's local runner runs in a process of this machine."""

    process: subprocess.Popen[str]
    log: Path

    @classmethod
    def start(cls, submission: Submission) -> LocalRun:
        """Start the runner's process; the job goes in through its standard input."""
        submission.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{submission.pipeline}-", dir=submission.folder))
        job = {"pipeline": submission.pipeline, "arguments": submission.arguments, "folder": str(folder)}
        # A step of a compiled pipeline has this variable, and with it `kfp` has no local runner.
        environment = {name: value for name, value in os.environ.items() if name != "_KFP_RUNTIME"}
        with (folder / LOG).open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "tfcanary.run.submit.local_run"],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
                start_new_session=True,
            )
        assert process.stdin is not None
        # A runner that ended at once is noticed by its exit code, not here.
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(job))
        return cls(process, folder / LOG)

    def result(self) -> bool | None:
        """Return None while the pipeline runs, then whether every step succeeded."""
        code = self.process.poll()
        return None if code is None else code == 0

    def stop(self) -> None:
        """Kill the runner and its steps; the record knows what they leave undone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def describe(self) -> str:
        """Return the path of the log file."""
        return str(self.log)

    def failure(self) -> str:
        """Return the error in the log that ended the first failed step, in one line; empty where the log has none."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        said: list[str] = ERROR.findall(STEP_FAILED.split(text)[0])
        return said[-1].strip() if said else ""


def main() -> None:
    """Run the job that standard input describes; a failed step ends the process with KFP's own exception."""
    from kfp import components, local

    warnings.simplefilter("ignore")
    job = json.load(sys.stdin)
    folder = Path(job["folder"])
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "artifacts"), raise_on_error=True)
    pipeline = components.load_component_from_text(package(job["pipeline"]))
    pipeline(**job["arguments"])


if __name__ == "__main__":
    main()
