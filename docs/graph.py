"""The release's graph as a picture, read off the compiled pipeline: what is drawn is what Kubeflow runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tfcanary.report.plots.markup import Markup, element, picture
from tfcanary.run.submit import package

PIPELINE = "canary_release"
BOX, HIGH, GAP = 158, 44, 62
"""Pixels: a step's width and height, and the way between two."""
WIDTH, LEFT = 940, 40
FIRST, SECOND, LAST = 56, 196, 420
"""Where the rows of steps begin."""
WORD = re.compile(r"== '(\w+)'")
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933; text-anchor: middle }
.left { text-anchor: start } .word { font-size: 12px; fill: #52606d }
.paper { fill: #ffffff } .frame { fill: none; stroke: #9aa5b1; stroke-dasharray: 5 4 } .stage { fill: #f5f7fa; stroke: #cbd2d9 }
.step { fill: #ffffff; stroke: #52606d } .promote { fill: #d1f0dc; stroke: #1b7f3b } .rollback { fill: #fbdcd3; stroke: #c2410c }
.way { fill: none; stroke: #52606d } .head { fill: #52606d }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7eb } .word { fill: #b0bac5 } .paper { fill: #0d1117 } .stage { fill: #161b22; stroke: #3e4c59 }
  .step { fill: #0d1117; stroke: #9aa5b1 } .promote { fill: #12391f; stroke: #4ade80 } .rollback { fill: #43200f; stroke: #fb923c }
  .way { stroke: #9aa5b1 } .head { fill: #9aa5b1 }
}
"""

Dag = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step, and the word that the gate before it waits for; empty: there is none."""

    name: str
    gate: str


@dataclass(frozen=True, slots=True)
class Flow:
    """The graph as it is drawn."""

    before: tuple[Step, ...]
    """Once, before any traffic."""
    stage: tuple[Step, ...]
    """At each weight."""
    ends: tuple[Step, ...]
    """What follows on the words that end the release."""
    stages: int
    guard: str
    """The exit step."""


def pictures(folder: Path) -> Iterator[tuple[Path, str]]:
    """The picture's file and its text."""
    yield folder / "graph.svg", draw(flow(next(yaml.safe_load_all(package(PIPELINE)))))


def flow(pipeline: Dag) -> Flow:
    """Read off a compiled pipeline."""
    inside = _Inside(pipeline["components"])
    root = pipeline["root"]["dag"]
    guard = next(task for task in root["tasks"].values() if "strategy" in task.get("triggerPolicy", {}))
    handler = next(task for task in root["tasks"].values() if task is not guard)
    steps = list(inside.steps(inside.of(handler), ""))
    begins = next(i for i, step in enumerate(steps) if step.name == "watch_stage")
    judged = next(i for i, step in enumerate(steps) if step.name == "judge_canary")
    ends = {step.gate: step for step in steps if step.gate in ("promote", "rollback")}
    return Flow(
        before=tuple(steps[:begins]),
        stage=tuple(steps[begins : judged + 1]),
        ends=(ends["promote"], ends["rollback"]),
        stages=sum(step.name == "watch_stage" for step in steps),
        guard=_named(guard),
    )


@dataclass(frozen=True, slots=True)
class _Inside:
    components: Dag

    def of(self, task: Dag) -> Dag | None:
        """The graph within a task, if it has one."""
        found: Dag | None = self.components[task["componentRef"]["name"]].get("dag")
        return found

    def steps(self, dag: Dag | None, gate: str) -> Iterator[Step]:
        """In the order in which they can run; the first one behind a gate carries its word."""
        done: set[str] = set()
        left = dict(dag["tasks"]) if dag else {}
        while left:
            ready = [name for name, task in left.items() if done.issuperset(task.get("dependentTasks", ()))]
            # What waits for a word comes after what does not.
            name = min(ready, key=lambda one: (self.of(left[one]) is not None, one))
            task = left.pop(name)
            done.add(name)
            word = WORD.search(task.get("triggerPolicy", {}).get("condition", ""))
            if inner := self.of(task):
                yield from self.steps(inner, word.group(1) if word else "")
            else:
                yield Step(_named(task), gate)
                gate = ""


def _named(task: Dag) -> str:
    return re.sub(r"-\d+$", "", str(task["componentRef"]["name"]).removeprefix("comp-")).replace("-", "_")


def draw(shown: Flow) -> str:
    """An SVG file that is read in light and dark surroundings."""
    height = LAST + HIGH + 26
    arrow = element("path", d="M0 0L8 4L0 8z", class_="head")
    tip = element("marker", arrow, id="tip", refX=7, refY=4, markerWidth=8, markerHeight=8, orient="auto")
    parts = [
        element("style", STYLE),
        element("defs", tip),
        element("rect", x=0, y=0, width=WIDTH, height=height, rx=8, class_="paper"),
        element("rect", x=12, y=14, width=WIDTH - 24, height=LAST - 54, rx=8, class_="frame"),
        element(
            "text", "the run, inside an exit handler; where a gate does not hear its word, the run ends", x=26, y=36, class_="left word"
        ),
        *_row(shown.before, LEFT, FIRST),
        *_stage(shown),
        *_ends(shown),
        *_guard(shown),
    ]
    box = f"0 0 {WIDTH} {height}"
    drawn = picture(
        "The graph of a release", _told(shown), *parts, xmlns="http://www.w3.org/2000/svg", viewBox=box, width=WIDTH, height=height
    )
    return drawn.text + "\n"


def _told(shown: Flow) -> str:
    names = [step.name for step in (*shown.before, *shown.stage)]
    return f"{', '.join(names)}; then {shown.ends[0].name}, {shown.ends[1].name} or the next stage; at the end always {shown.guard}"


def _row(steps: tuple[Step, ...], x: int, y: int) -> Iterator[Markup]:
    for number, step in enumerate(steps):
        at = x + number * (BOX + GAP)
        yield from _box(step.name, at, y)
        if number:
            yield from _way(f"M{at - GAP} {y + HIGH // 2}H{at}", step.gate, at - GAP // 2 - 4, y + HIGH // 2 - 7)


def _stage(shown: Flow) -> Iterator[Markup]:
    """One frame for all of them, for they are alike; into it from the row above, and back to its beginning."""
    row, begin = SECOND + 60, LEFT + BOX // 2
    judge = begin + (len(shown.stage) - 1) * (BOX + GAP)
    yield element("rect", x=LEFT - 14, y=SECOND, width=judge + BOX // 2 - LEFT + 28, height=150, rx=8, class_="stage")
    yield element(
        "text", f"a stage: once for each weight of the plan, at most {shown.stages}", x=begin + 16, y=SECOND + 24, class_="left word"
    )
    yield from _row(shown.stage, LEFT, row)
    above, turn, back = begin + (len(shown.before) - 1) * (BOX + GAP), SECOND - 46, row + HIGH + 24
    yield from _way(f"M{above} {FIRST + HIGH}V{turn}H{begin}V{row}", shown.stage[0].gate, above - 24, turn - 7)
    yield from _way(f"M{judge} {row + HIGH}V{back}H{begin}V{row + HIGH}", "advance: the next weight", (judge + begin) // 2, back - 6)


def _ends(shown: Flow) -> Iterator[Markup]:
    right, middle = LEFT + len(shown.stage) * (BOX + GAP) - GAP, SECOND + 60 + HIGH // 2
    for step, y in zip(shown.ends, (SECOND + 20, SECOND + 100), strict=True):
        x = right + GAP + 30
        yield from _box(step.name, x, y, step.gate)
        yield from _way(f"M{right} {middle}H{right + 32}V{y + HIGH // 2}H{x}", step.gate, right + 62, y + HIGH // 2 - 7)


def _guard(shown: Flow) -> Iterator[Markup]:
    yield from _way(f"M{LEFT + BOX // 2} {LAST - 40}V{LAST}", "", 0, 0)
    yield from _box(shown.guard, LEFT, LAST)
    told = "whatever happened in the run: an open release is rolled back, an ended one stays as it ended"
    yield element("text", told, x=LEFT + BOX + 16, y=LAST + HIGH // 2 + 5, class_="left word")


def _box(name: str, x: int, y: int, kind: str = "step") -> Iterator[Markup]:
    yield element("rect", x=x, y=y, width=BOX, height=HIGH, rx=6, class_=kind)
    yield element("text", name, x=x + BOX // 2, y=y + HIGH // 2 + 5)


def _way(path: str, word: str, x: int, y: int) -> Iterator[Markup]:
    """A line with a tip at its end, and the word that opens it."""
    yield element("path", d=path, class_="way", marker_end="url(#tip)")
    if word:
        yield element("text", word, x=x, y=y, class_="word")
