"""`profile`: counts data once, so that later comparisons need only the counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfcanary.cli import options, rows
from tfcanary.core.errors import Refused
from tfcanary.decide import drift
from tfcanary.look.evaluate import references


@click.command(short_help="Count rows once: the reference of later comparisons.")
@click.argument("data")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the profile here.")
@click.option("--into", metavar="MODEL", help="Write it into this SavedModel: the model then brings its own reference.")
@rows.selection
@options.as_json
def profile(data: str, output: Path | None, into: str | None, json_: bool, **chosen: Any) -> None:
    """Count DATA (a file, folder or gs:// prefix) into a profile: the reference of `tfcanary drift`.

    Exit 0 written, 2 bad input, also where there are no rows; 3 could not read.

    \b
    Example:  tfcanary profile gs://features/train -o reference.profile
    """
    if output is None and into is None:
        raise click.UsageError("where to? Name a file with -o, or a SavedModel with --into")
    if into and "://" in into.removeprefix("file://"):
        raise Refused(f"--into {into}: a model in a bucket is not changed; write the profile before it is pushed")
    asked = rows.asked(chosen)
    with rows.progress() as bar:
        counted = references.read_or_count(rows.fetched(data), None, asked.entity, asked.selection, bar(data))
    if not counted.rows:
        raise Refused(f"{data}: no rows; a reference without rows says nothing")
    if output:
        output.write_bytes(drift.to_bytes(counted))
    written = output or references.write_into_model(counted, rows.fetched(into or ""))
    if output and into:
        references.write_into_model(counted, rows.fetched(into))
    lost = f"; {counted.dropped} rows could not be read" if counted.dropped else ""
    sentence = f"{counted.rows:,} rows, {len(counted.tallies)} columns{lost}: {written}"
    options.said(
        "written", sentence, json_, rows=int(counted.rows), columns=[tally.column.name for tally in counted.tallies], file=str(written)
    )
