"""The table of the trial's checks; `python -m tfcanary.look.trial.check_table` writes the whole table into docs/gate.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tfcanary.core.domain import Evidence, Finding
from tfcanary.look.savedmodel.checks import CHECKS, PARSE, TREE, Check

BEGIN, END = "<!-- checks -->", "<!-- /checks -->"
MEMORY = "Allow more memory in the plan (validation.memory_mib), or make the model smaller: its servers would fail in the same way."

TRIAL: tuple[Check, ...] = (
    Check(
        "trial/confinement",
        Finding.WARN,
        "Which restrictions hold for the running model, and which does this machine not offer?",
        "Run the gate where user namespaces, Landlock and seccomp are allowed; do not try models from unknown sources here.",
    ),
    Check(
        "trial/process",
        Finding.FAIL,
        "Does the model's process survive the trial?",
        f"Load the model and repeat the named request. {MEMORY}",
    ),
    Check(
        "trial/load",
        Finding.FAIL,
        "Does TensorFlow's own loader, which TF Serving uses, load the model, and can every signature run?",
        "Load the model with the TensorFlow of the serving image; where that fails, export it again.",
    ),
    Check(
        "trial/warmup",
        Finding.FAIL,
        "Does the model answer its own warm-up requests?",
        "Record them again, or leave assets.extra out of the export.",
    ),
    Check(
        "trial/answers",
        Finding.FAIL,
        "Does the model answer the plan's golden requests, or made-up ones where the plan has none?",
        "Send the named request to the model; where no request can be made up, name golden requests in the plan (validation.golden).",
    ),
    Check(
        "trial/finite",
        Finding.FAIL,
        "Are all numbers in the answers finite?",
        "Look for divisions by zero and logarithms of zero; where only some made-up requests are affected, they may be invalid for this model.",
    ),
    Check(
        "trial/shapes",
        Finding.FAIL,
        "Do the answers have the declared types and shapes?",
        "Export with a signature that declares the types and shapes of the real outputs.",
    ),
    Check(
        "trial/golden",
        Finding.FAIL,
        "Does the model answer as many golden labels as the plan asks for, or as stable does?",
        "Compare preprocessing and weights with those of the training, or correct the labels.",
    ),
    Check(
        "trial/repeat",
        Finding.WARN,
        "Does the model answer a repeated request with equal values?",
        "Export for inference (training=False) and without state; otherwise comparisons contain noise.",
    ),
    Check(
        "trial/batching",
        Finding.FAIL,
        "Does the model answer a row alone as it answers the row in a batch?",
        "Make each row independent: statistics over a batch belong to training (use BatchNormalization with training=False).",
    ),
    Check(
        "trial/signatures",
        Finding.FAIL,
        "Can the other signatures be called?",
        "Correct the named signature, or leave it out of the export.",
    ),
    Check(
        "trial/latency",
        Finding.WARN,
        "How long does an answer take, compared with stable's? Shown only: a trial is no load test.",
        "Compare under load, as the canary does, and profile the model where it is slower there.",
    ),
    Check("trial/first-call", Finding.WARN, "How long does the first answer take? Shown only.", "Add warm-up requests to the export."),
    Check(
        "trial/memory",
        Finding.WARN,
        "How much memory does the model take, compared with stable? Shown only.",
        "Make sure that the servers have enough memory.",
    ),
    Check("trial/agreement", Finding.PASS, "How much do the answers differ from stable's? Shown only.", ""),
    Check(
        "trial/stable",
        Finding.INCONCLUSIVE,
        "Could the stable model be tried beside the candidate? Shown only.",
        "Check the stable model: the figures above are the candidate's alone.",
    ),
    Check(
        "savedmodel/unchanged",
        Finding.FAIL,
        "Are the files unchanged since the beginning of the checks?",
        "Wait until the export is complete, then run the gate again.",
    ),
)
"""Every check that runs the model, and the comparison of the files before and after the checks."""


def with_remedy(evidence: Evidence) -> Evidence:
    """The evidence, with the remedy of its check appended to the reason where the finding is not `pass`."""
    return next((one.with_remedy(evidence) for one in TRIAL if one.id == evidence.about), evidence)


def table() -> Iterator[str]:
    """The lines of the table of all checks in Markdown, in the order of the report."""
    yield "| Check | At worst | Question | What to do |"
    yield "|---|---|---|---|"
    for one in (TREE, PARSE, *CHECKS, *TRIAL):
        yield f"| `{one.id}` | {one.severity.value} | {one.question} | {one.remedy} |"


def with_table(document: str) -> str:
    """The document, with the current table between its two marks."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n" + "".join(f"{line}\n" for line in table()) + f"{END}{tail}"


if __name__ == "__main__":
    path = Path(sys.argv[1] if sys.argv[1:] else "docs/gate.md")
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
