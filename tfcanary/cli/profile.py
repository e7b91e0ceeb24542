"""The verb `profile`: counts data once, so that later comparisons need only the counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfcanary.cli import options, outputs, rows
from tfcanary.core.errors import Refused
from tfcanary.decide import drift
from tfcanary.look.evaluate import references
from tfcanary.run import steps


@click.command(short_help="Count rows once, as the reference of later comparisons.")
@click.argument("data")
@outputs.file_option("-o", "--output", text="Write the profile into this file.")
@click.option("--into", metavar="MODEL", help="Write the profile into this SavedModel, so that the model carries its own reference.")
@rows.selection_options
@options.as_json
def profile(data: str, output: Path | None, into: str | None, json_: bool, **chosen: Any) -> None:
    """Count DATA (a file, folder or gs:// prefix) into a profile: the reference of `tfcanary drift`.

    Exit 0 written, 2 bad input or no rows, 3 could not read.

    \b
    Example:  tfcanary profile gs://features/train -o reference.profile
    """
    if output is None and into is None:
        raise click.UsageError("name a file with -o, or a SavedModel with --into")
    if into and "://" in into.removeprefix("file://"):
        raise Refused(f"--into {into}: a model in a bucket is not changed; write the profile before the model is pushed")
    wanted = rows.row_selection(chosen)
    with rows.progress() as bar:
        counted = references.read_or_count(steps.fetch(data), None, wanted.entity, wanted.selection, bar(data))
    if wrong := references.counted_otherwise(counted, wanted.entity):
        raise Refused(f"{data}: {wrong}")
    if not counted.rows:
        raise Refused(f"{data}: has no rows; a reference without rows proves nothing")
    if output:
        with outputs.writing(output):
            output.write_bytes(drift.to_bytes(counted))
    file = output
    if into:
        with outputs.writing(Path(into)):
            carried = references.write_into_model(counted, steps.fetch(into))
        file = output or carried
    unreadable = f"; {counted.dropped} rows could not be read" if counted.dropped else ""
    sentence = f"{counted.rows:,} rows, {len(counted.tallies)} columns{unreadable}: {file}"
    columns = [tally.column.name for tally in counted.tallies]
    options.print_result("written", sentence, json_, rows=int(counted.rows), columns=columns, file=str(file))
