"""The commands together, and what becomes of errors."""

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
from tfrec_fusion.cli._recommend import recommend
from tfrec_fusion.cli._serve import serve
from tfrec_fusion.cli._train import train
from tfrec_fusion.disk import disk_error
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

OK, BUG, MISTAKE, INTERRUPTED = 0, 1, 2, 130
NO_READER = 1  # as Typer has it


def _with_local_paths(command: Callable) -> Callable:
    """The command, which looks at all its paths before any work."""

    @functools.wraps(command)
    def run(**options):
        for name, value in options.items():
            for path in value if isinstance(value, list) else [value]:
                if isinstance(path, Path):
                    local_path(path, name.replace("_", "-"))
        return command(**options)

    return run


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
for _command in (quickstart, embed, train, evaluate, export, labels, monitor, recommend, serve):
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
        context.get_help()  # which Typer prints
        raise typer.Exit(MISTAKE)


def main(args: Sequence[str] | None = None) -> int:
    """Runs a command; `args` are those of the process by default.

    Returns:
      0 where it worked; 2 after a user's mistake or where the disk is full, which is told in one
      line on standard error, and without a command, after the help; 3 where `monitor` alerts; 130
      after Ctrl-C; 1 where nobody reads the output to its end. A bug raises, so the process prints
      its traceback and ends with 1.
    """
    # What was dropped or kept of the data is told by the log.
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        code = app(args=args, prog_name="tfrec-fusion", standalone_mode=False)
        sys.stdout.flush()
    except InputError as error:
        return _mistake(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except ImportError as error:
        # An extra that is not installed; the message has the command that installs it.
        if "tfrec-fusion[" not in str(error):
            raise
        return _mistake(str(error))
    except BrokenPipeError:
        _give_output_up()
        return NO_READER
    except OSError as error:
        if error.filename is not None:
            return _mistake(f"{error.filename}: {error.strerror}")
        number = disk_error(error)
        if number is None:
            raise
        _give_output_up()
        return _mistake(f"cannot write: {os.strerror(number)}")
    except Exception as error:
        number = disk_error(error)
        if number is not None:
            return _mistake(f"cannot write: {os.strerror(number)}")
        # Typer's own errors say what is wrong with the arguments.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        return _mistake(message())
    return code if isinstance(code, int) else OK


def _give_output_up() -> None:
    """What standard output still holds would fail again at the process's end."""
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def _mistake(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return MISTAKE
