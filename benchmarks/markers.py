"""Writes generated tables into Markdown pages, between markers."""

import os
from pathlib import Path


def write_between(path: Path, name: str, body: str) -> None:
    """Replaces the text between `<!-- name table -->` and `<!-- end of name table -->`.

    Raises:
      ValueError: the page lacks one of the two.
    """
    text = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} table -->\n", f"<!-- end of {name} table -->"
    if begin not in text or end not in text:
        raise ValueError(f"{path.name} must have the lines {begin.strip()!r} and {end!r}")
    head, rest = text.split(begin)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(head + begin + body + "\n" + end + rest.split(end)[1], encoding="utf-8")
    os.replace(temporary, path)
