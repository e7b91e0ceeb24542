"""The trial's process: `python -m tfcanary.look.trial FD`, a job as JSON on stdin, lines of JSON to the descriptor FD.

Confinement comes first, before any import that starts a thread.
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
from tfcanary.look.trial.job import Job, Progress
from tfcanary.look.trial.process_seal import seal


def main() -> None:
    """Try the model that stdin names and say what was found."""
    os.set_inheritable(result := int(sys.argv[1]), False)
    job: Job = codec.loads(Job, sys.stdin.buffer.read(), at="job")
    empty = Path.cwd()
    libraries = {Path(path) for path in (sys.prefix, sys.base_prefix, *sys.path, *os.environ.get("LD_LIBRARY_PATH", "").split(":")) if path}
    models = [Path(path) for path in (job.model, job.stable) if path]
    confinement = confine([*models, *libraries], empty)

    def say(progress: Progress) -> None:
        os.write(result, codec.dumps(progress).encode() + b"\n")

    say(Progress(doing="starting TensorFlow"))
    from tfcanary.look.trial import trial_child

    trial_child.start_tensorflow()
    try:
        limit(job.plan.memory_mib, math.ceil(time.process_time() + job.plan.timeout.total_seconds() * (os.cpu_count() or 1)))
    except ValueError as error:
        say(Progress(refused=f"validation.{error}"))
        return
    words, sealed = seal()
    say(Progress(ready=True))
    evidence = [_evidence(confinement, words, sealed)]
    for found in trial_child.try_out(job, lambda doing: say(Progress(doing=doing))):
        evidence.append(found)
        say(Progress(look=Look("trial", tuple(evidence))))
    say(Progress(done=True))


def _evidence(confinement: Confinement, words: str, sealed: bool) -> Evidence:
    """For people: it says nothing about the model."""
    finding = Finding.PASS if sealed and not confinement.open else Finding.WARN
    return Evidence("trial/confinement", finding, "; ".join((*confinement.held, words, *confinement.open)), gating=False)


if __name__ == "__main__":
    main()
