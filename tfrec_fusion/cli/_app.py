"""Assembles the commands and turns errors into one-line messages and exit codes."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tfrec_fusion import __version__
from tfrec_fusion.cli._embed import embed
from tfrec_fusion.cli._evaluate import evaluate
from tfrec_fusion.cli._export import export
from tfrec_fusion.cli._labels import labels
from tfrec_fusion.cli._monitor import monitor
from tfrec_fusion.cli._quickstart import quickstart
from tfrec_fusion.cli._quiet import said_once
from tfrec_fusion.cli._recommend import recommend
from tfrec_fusion.cli._serve import serve
from tfrec_fusion.cli._train import train
from tfrec_fusion.cli._tune import tune
from tfrec_fusion.disk import disk_error
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

OK, BUG, MISTAKE, INTERRUPTED = 0, 1, 2, 130
NO_READER = 1  # the code that Typer uses for a broken pipe


def _with_local_paths(command: Callable) -> Callable:
    """Wraps a command so that it checks all its path options before it does any work."""

    @functools.wraps(command)
    def run(**options):
        for name, value in options.items():
            for path in value if isinstance(value, list) else [value]:
                if isinstance(path, Path):
                    local_path(path, name.replace("_", "-"))
        return command(**options)

    return run


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
for _command in (
    quickstart,
    embed,
    train,
    tune,
    evaluate,
    export,
    labels,
    monitor,
    recommend,
    serve,
):
    app.command()(_with_local_paths(_command))


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    """Recommenders that train ids and text into one Keras model, served as one SavedModel."""
    if context.invoked_subcommand is None:
        context.get_help()  # Typer prints it
        raise typer.Exit(MISTAKE)


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command of the command line and returns its exit code.

    Args:
      args: the arguments; those of the process by default.

    Returns:
      0 on success; 2 after a user's mistake or on a full disk, with one line on standard error,
      and also without a command, after printing the help; 3 if `monitor` raises an alert; 130
      after Ctrl-C; 1 if the reader of the output closes the pipe. A bug raises, so the process
      prints a traceback and ends with 1.
    """
    # The data loaders log what they dropped or kept.
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    with said_once("tfrec_fusion.data"):
        return _run(args)


def _run(args: Sequence[str] | None) -> int:
    try:
        code = app(args=args, prog_name="tfrec-fusion", standalone_mode=False)
        sys.stdout.flush()
    except InputError as error:
        return _mistake(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except ImportError as error:
        # A missing optional extra: the message names the command that installs it.
        if "tfrec-fusion[" not in str(error):
            raise
        return _mistake(str(error))
    except BrokenPipeError:
        _discard_output()
        return NO_READER
    except OSError as error:
        if error.filename is not None:
            return _mistake(f"{error.filename}: {error.strerror}")
        number = disk_error(error)
        if number is None:
            raise
        _discard_output()
        return _mistake(f"cannot write: {os.strerror(number)}")
    except Exception as error:
        number = disk_error(error)
        if number is not None:
            return _mistake(f"cannot write: {os.strerror(number)}")
        # Errors of Typer itself describe what is wrong with the arguments.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return _mistake(message())
    return code if isinstance(code, int) else OK


def _discard_output() -> None:
    """Discards buffered standard output, which would fail again when the process exits."""
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def _mistake(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return MISTAKE
