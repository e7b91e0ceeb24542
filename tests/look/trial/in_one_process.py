"""Tries many models in one process, unconfined: importing TensorFlow takes longer than everything else."""

import json
import sys
from pathlib import Path

from tfcanary.core import codec
from tfcanary.core.domain import Look, Request
from tfcanary.look.trial.confine import limit
from tfcanary.look.trial.job import Job
from tfcanary.look.trial.trial_child import add_evidence, start_tensorflow, try_out

start_tensorflow()
limit(memory_mib=8192, cpu_seconds=300)

for line in sys.stdin:
    name, job, requests = json.loads(line)
    golden = [codec.decode(Request, one) for one in requests]
    said: list[str] = []
    evidence = ()
    for one in try_out(codec.decode(Job, job), golden, said.append):
        evidence = add_evidence(evidence, one)
    look = Look("trial", evidence)
    Path(sys.argv[1], f"{name}.json").write_text(codec.dumps(look))
