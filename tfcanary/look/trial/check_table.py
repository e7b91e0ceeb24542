"""The trial's part of the table of checks, and docs/gate.md: `python -m tfcanary.look.trial.check_table` writes it anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tfcanary.core.domain import Evidence, Finding
from tfcanary.look.savedmodel.checks import CHECKS, PARSE, TREE, Check

BEGIN, END = "<!-- checks -->", "<!-- /checks -->"
MEMORY = "Give it more memory in the plan (validation.memory_mib), or make the model smaller: its servers would end the same way."

TRIAL: tuple[Check, ...] = (
    Check(
        "trial/confinement",
        Finding.WARN,
        "What is kept from the model while it runs, and what this machine cannot keep from it?",
        "Run the gate where user namespaces, Landlock and seccomp are allowed; do not try models of strangers here.",
    ),
    Check(
        "trial/process",
        Finding.FAIL,
        "Does the model's process survive the trial?",
        f"Load the model and repeat the request that is named. {MEMORY}",
    ),
    Check(
        "trial/load",
        Finding.FAIL,
        "Does TensorFlow's own loader, the one of TF Serving, load it, and can every signature be run?",
        "Load it with the TensorFlow of the serving image, and export again.",
    ),
    Check(
        "trial/warmup",
        Finding.FAIL,
        "Are the model's own warm-up requests answered?",
        "Record them anew, or leave assets.extra out of the export.",
    ),
    Check(
        "trial/answers",
        Finding.FAIL,
        "Are the plan's golden requests answered, or made-up ones where there are none?",
        "Send the request that is named to the model; where none can be made up, name golden requests in the plan (validation.golden).",
    ),
    Check(
        "trial/finite",
        Finding.FAIL,
        "Are the answers finite numbers?",
        "Look for divisions by zero and logarithms of zero; where only some made-up requests are affected, they may be none for this model.",
    ),
    Check(
        "trial/shapes",
        Finding.FAIL,
        "Have the answers the declared types and shapes?",
        "Export with the signature that the model really has.",
    ),
    Check(
        "trial/golden",
        Finding.FAIL,
        "Are the labels of golden requests what the model answers?",
        "Compare preprocessing and weights with the training's; or correct the labels.",
    ),
    Check(
        "trial/repeat",
        Finding.WARN,
        "Is the same request answered the same again?",
        "Export for inference (training=False), and without state; else comparisons will see noise.",
    ),
    Check(
        "trial/batching",
        Finding.FAIL,
        "Is a row alone answered as it is in a batch?",
        "Keep rows apart: statistics over a batch belong into training (BatchNormalization with training=False).",
    ),
    Check(
        "trial/signatures",
        Finding.FAIL,
        "Can the other signatures be asked, too?",
        "Mend the signature that is named, or leave it out of the export.",
    ),
    Check(
        "trial/latency",
        Finding.WARN,
        "How long does an answer take, beside stable's? Shown, never gating: a trial is no load test.",
        "Compare under load (the canary does), and profile the model where it is slower there.",
    ),
    Check(
        "trial/first-call", Finding.WARN, "How long does the first answer take? Shown, never gating.", "Add warm-up requests to the export."
    ),
    Check(
        "trial/memory",
        Finding.WARN,
        "How much memory does it take, beside stable? Shown, never gating.",
        "Make sure that the servers have the memory.",
    ),
    Check("trial/agreement", Finding.PASS, "How far do the answers lie from stable's? Shown, never gating.", ""),
    Check(
        "trial/stable",
        Finding.INCONCLUSIVE,
        "Could the stable model be tried beside it? Not gating.",
        "Look at the stable model: the figures above are the candidate's alone.",
    ),
    Check(
        "savedmodel/unchanged",
        Finding.FAIL,
        "Are the files the same after the checks as before?",
        "Wait until the export is complete, then run the gate again.",
    ),
)
"""Every question to a model that runs."""


def advised(found: Evidence) -> Evidence:
    """What was found, with what to do."""
    return next((one.advised(found) for one in TRIAL if one.id == found.about), found)


def table() -> Iterator[str]:
    """The checks as Markdown, in the order of the report."""
    yield "| Check | At worst | Question | What to do |"
    yield "|---|---|---|---|"
    for one in (TREE, PARSE, *CHECKS, *TRIAL):
        yield f"| `{one.id}` | {one.severity.value} | {one.question} | {one.remedy} |"


def written(document: str) -> str:
    """The document with the table as it is now between its marks."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n" + "".join(f"{line}\n" for line in table()) + f"{END}{tail}"


if __name__ == "__main__":
    path = Path(sys.argv[1] if sys.argv[1:] else "docs/gate.md")
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
