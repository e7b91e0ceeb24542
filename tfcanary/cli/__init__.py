"""The command line, with one module for each verb or pair of verbs.

Exit codes: 0 yes, 1 no, 2 bad input, 3 undecided, unreachable, or another release of the model is active.
"""

from __future__ import annotations

import errno
import logging
import sys
import time

import click

from tfcanary import __version__
from tfcanary.cli import (
    completion,
    dashboard,
    demo,
    doctor,
    drift,
    guard,
    init,
    judge,
    local,
    metrics,
    orders,
    plan,
    profile,
    pull,
    release,
    replay,
    serve,
    show,
    trigger,
    upload,
    validate,
    verify,
)
from tfcanary.cli.verbs import Verbs
from tfcanary.core.errors import Conflict, Refused, Unavailable

BAD_INPUT, UNDECIDED = 2, 3
EXTRAS = {
    "local": ("tensorflow", "envoy", "sklearn", "uvicorn", "uvloop", "httptools", "orjson", "starlette"),
    "trigger": ("jwt",),
    "beam": ("apache_beam",),
    "sign": ("cryptography",),
}
"""The modules of each extra in `setup.py`."""
_PLAIN_WORDS = {
    "is not a valid float range": "is no number",
    "is not a valid float": "is no number",
    "is not a valid integer range": "is no whole number",
    "is not a valid integer": "is no whole number",
}
"""Click's words for what is no number, and those of this program."""
_WRONG_PATHS = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError)
"""Operating system errors whose cause is the path that was given."""


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="tfcanary")
def tfcanary() -> None:
    """Canary releases of TensorFlow Serving models: a candidate is promoted or rolled back, and the reason is reported."""


for verb in (
    local.up,
    local.down,
    doctor.doctor,
    init.init,
    guard.guard,
    release.release,
    orders.abort,
    orders.pause,
    orders.resume,
    orders.approve,
    orders.reject,
    orders.override_window,
    orders.repair,
    show.status,
    show.history,
    show.report_verb,
    dashboard.dashboard,
    metrics.metrics,
    validate.validate,
    plan.plan,
    plan.adopt,
    replay.replay,
    verify.verify,
    drift.drift,
    profile.profile,
    pull.pull,
    trigger.trigger,
    judge.judge,
    upload.upload,
    serve.serve,
    demo.demo,
    completion.completion,
):
    tfcanary.add_command(verb)


def main(arguments: list[str] | None = None) -> None:
    """Run a verb; an error of tfcanary or of click is printed as one sentence on stderr and ends with its exit code."""
    _log_to_stderr()
    try:
        tfcanary.main(args=arguments, prog_name="tfcanary", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(UNDECIDED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        _print_error(_sentence(error))
        sys.exit(BAD_INPUT)
    except Refused as error:
        _print_error(error)
        sys.exit(BAD_INPUT)
    except (Unavailable, Conflict) as error:
        _print_error(error)
        sys.exit(UNDECIDED)
    except RecursionError:
        _print_error("the input is nested too deeply")
        sys.exit(BAD_INPUT)
    except ModuleNotFoundError as error:
        _print_error(_missing_module(error))
        sys.exit(BAD_INPUT)
    except OSError as error:
        _print_error(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error)
        sys.exit(BAD_INPUT if isinstance(error, _WRONG_PATHS) or error.errno == errno.EROFS else UNDECIDED)


def _log_to_stderr() -> None:
    """Write log lines to stderr, with the time in UTC."""
    formatter = logging.Formatter("%(asctime)s UTC %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # At each start it says where it found its configuration.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # Whoever calls a host says in one sentence that it was not reached, after the last of these tries.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def _missing_module(error: ModuleNotFoundError) -> str:
    """Return the sentence that says how to install a module; the extras of `setup.py` have the optional ones."""
    module = (error.name or str(error)).partition(".")[0]
    extra = next((f"[{name}]" for name, modules in EXTRAS.items() if module in modules), "")
    return f"the module {module!r} is not installed: pip install 'tfcanary{extra}'"


def _sentence(error: click.ClickException) -> str:
    """Return what was typed wrong, and which help explains it."""
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split())
    for words, plain in _PLAIN_WORDS.items():
        message = message.replace(words, plain)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _print_error(error: Exception | str) -> None:
    click.echo(f"tfcanary: {error}", err=True)
