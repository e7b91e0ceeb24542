"""The trial's process: `python -m tfcanary.look.trial RESULT GOLDEN` reads a job as JSON on stdin.

It writes lines of JSON to the descriptor RESULT, and reads the golden requests from the descriptor GOLDEN.
The process confines itself first, before any import that starts a thread.
"""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path

from tfcanary.core import codec
from tfcanary.core.domain import Evidence, Finding, Look
from tfcanary.look.trial.confine import Confinement, confine, limit
from tfcanary.look.trial.job import Job, Progress, RequestFile
from tfcanary.look.trial.process_seal import seal


def main() -> None:
    """Try the model of the job on stdin, and write the evidence to the descriptor."""
    result, golden = map(int, sys.argv[1:3])
    for descriptor in (result, golden):
        os.set_inheritable(descriptor, False)
    job: Job = codec.loads(Job, sys.stdin.buffer.read(), at="job")
    empty = Path.cwd()
    libraries = {Path(path) for path in (sys.prefix, sys.base_prefix, *sys.path, *os.environ.get("LD_LIBRARY_PATH", "").split(":")) if path}
    models = [Path(path) for path in (job.model, job.stable) if path]
    confinement = confine([*models, *libraries], empty)

    def send(progress: Progress) -> None:
        os.write(result, codec.dumps(progress).encode() + b"\n")

    send(Progress(activity="starting TensorFlow"))
    from tfcanary.look.trial import trial_child

    trial_child.start_tensorflow()
    try:
        limit(job.plan.memory_mib, math.ceil(time.process_time() + job.plan.timeout.total_seconds() * (os.cpu_count() or 1)))
    except ValueError as error:
        send(Progress(refusal=f"validation.{error}"))
        return
    filter_text, sealed = seal()
    send(Progress(ready=True))
    evidence: tuple[Evidence, ...] = (_confinement_evidence(confinement, filter_text, sealed),)
    for one in trial_child.try_out(job, RequestFile(golden), lambda activity: send(Progress(activity=activity))):
        evidence = trial_child.add_evidence(evidence, one)
        send(Progress(look=Look("trial", evidence)))
    send(Progress(complete=True))


def _confinement_evidence(confinement: Confinement, filter_text: str, sealed: bool) -> Evidence:
    """Evidence about this machine and not about the model, so it never gates."""
    finding = Finding.PASS if sealed and not confinement.missing else Finding.WARN
    reason = "; ".join((*confinement.in_force, filter_text, *confinement.missing))
    return Evidence("trial/confinement", finding, reason, gating=False)


if __name__ == "__main__":
    main()
