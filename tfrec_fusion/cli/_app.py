"""The commands together, and what becomes of errors."""

from __future__ import annotations

import functools
import logging
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
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

OK, BUG, MISTAKE, INTERRUPTED = 0, 1, 2, 130


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


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (quickstart, embed, train, evaluate, export, labels, monitor, recommend, serve):
    app.command()(_with_local_paths(_command))


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    """Recommenders that train ids and text into one Keras model, served as one SavedModel."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs a command; `args` are those of the process by default.

    Returns:
      0 where it worked; 2 after a user's mistake, which is told in one line on standard error; 3
      where `monitor` alerts; 130 after Ctrl-C. A bug raises, so the process prints its traceback
      and ends with 1.
    """
    # What was dropped or kept of the data is told by the log.
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        code = app(args=args, prog_name="tfrec-fusion", standalone_mode=False)
    except InputError as error:
        return _mistake(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except ImportError as error:
        # An extra that is not installed; the message has the command that installs it.
        if "tfrec-fusion[" not in str(error):
            raise
        return _mistake(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        return _mistake(f"{error.filename}: {error.strerror}")
    except Exception as error:
        # Typer's own errors say what is wrong with the arguments.
        if not hasattr(error, "format_message"):
            raise
        return _mistake(error.format_message())
    return code if isinstance(code, int) else OK


def _mistake(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return MISTAKE
