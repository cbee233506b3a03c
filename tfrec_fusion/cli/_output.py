"""Writes a command's text and JSON output."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tfrec_fusion.files import check_new_file, new_file

Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON; - is standard output."),
]


class Output:
    """Prints text for people and, on request, writes JSON for programs.

    If the JSON goes to standard output, the text goes to standard error.

    Args:
      destination: where the JSON goes: a file, "-" for standard output, or None for no JSON.

    Raises:
      InputError: no file can be written there.
    """

    def __init__(self, destination: str | None):
        if destination is not None and destination != "-":
            check_new_file(destination, "json")
        self.destination = destination
        # In a file or a pipe, tables are not cut to the width of a terminal.
        stream = sys.stderr if destination == "-" else sys.stdout
        self.console = Console(file=stream, highlight=False)
        if not self.console.is_terminal:
            self.console.width = 200

    def print(self, *values) -> None:
        """Prints values for people; strings verbatim, without markup or added line breaks."""
        for value in values:
            text = isinstance(value, str)
            self.console.print(value, markup=not text, soft_wrap=text)

    def write(self, result) -> None:
        """Writes a result as JSON to the destination, if one is set."""
        if self.destination is None:
            return
        text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
        if self.destination == "-":
            sys.stdout.write(text)
            return
        with new_file(Path(self.destination)) as file:
            file.write(text.encode())
        self.print(f"JSON: {self.destination}")
