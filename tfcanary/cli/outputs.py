"""Files that verbs write: checked while the command line is parsed, so that a release does not begin whose report cannot be written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tfcanary.core.errors import Unavailable
from tfcanary.report.as_html import as_html
from tfcanary.report.as_markdown import as_markdown
from tfcanary.report.blocks import ReportPage


def check_writable(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Return the path of an option; raises BadParameter where the file cannot be opened for writing. Its content stays unchanged."""
    # A shell that completes a command checks nothing; opening and closing a pipe would end its reader.
    if path is None or ctx.resilient_parsing or (path.exists() and not path.is_file() and not path.is_dir()):
        return path
    # What a link points at is made and removed, never the link.
    target = Path(os.path.realpath(path))
    existed = target.exists()
    try:
        target.open("ab").close()
    except OSError as error:
        raise click.BadParameter(f"{path}: cannot be written ({error.strerror})", ctx, param) from error
    if not existed:
        target.unlink()
    return path


def file_option(*names: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds an option for a file that the verb writes."""
    return click.option(*names, type=click.Path(path_type=Path), callback=check_writable, metavar="FILE", help=text)


def page_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds `--html`, the file of a page; `text` is the first sentence of its help."""
    return file_option("--html", text=f"{text} If its name ends with .md, it is written as Markdown.")


def write_page(file: Path, page: ReportPage) -> None:
    """Write a page, as Markdown where the name ends with `.md`, else as HTML. Raises Unavailable where the file cannot be written."""
    with writing(file):
        file.write_text((as_markdown if file.suffix == ".md" else as_html)(page), encoding="utf-8")
    click.echo(f"report written to {file}", err=True)


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Turn an OSError of the block into Unavailable with one sentence that names the file."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{file}: cannot be written ({error.strerror})") from error
