"""Validation of paths given by the user."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tfrec_fusion.errors import InputError

# One slash suffices, because pathlib collapses "//". A single letter is a Windows drive.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_PATTERN = re.compile(r"[*?\[\]]")


def local_path(path: str | os.PathLike, name: str, *, tensorflow: bool = False) -> Path:
    """Checks that a path is on a local or mounted file system, and returns it.

    Args:
      path: a file or a folder; it need not exist.
      name: what the path is, for error messages.
      tensorflow: whether TensorFlow reads or writes the path. It treats `*`, `?` and brackets as
        glob patterns and would not find its own files.

    Raises:
      InputError: the path is empty; or has a scheme (`s3://`, `gs://`, `hdfs://`, `file://`), which
        pathlib would turn into a local folder; or a null character; or starts with `~`, which only
        some libraries expand; or, for TensorFlow, it or a parent folder contains a glob character.

    Example:
      >>> local_path("runs/shop", "run").name
      'shop'
    """
    text = os.fspath(path)
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if not text:
        raise InputError(f"{name}: a path may not be empty; '.' is the current folder")
    if "\0" in text:
        raise InputError(f"{name}: a path may not contain a null character. Received: {text!r}")
    scheme = _SCHEME.match(text)
    if scheme:
        raise InputError(
            f"{name}: must be a path of a local or mounted file system; {scheme[1]}:// is not "
            f"supported, so copy the files with other tools. Received: {text}"
        )
    if text.partition("/")[0].startswith("~"):
        raise InputError(
            f"{name}: ~ is not expanded here, nor by a shell in --option=~/...; write the path of "
            f"the home folder, or ./~ for a folder of that name. Received: {text}"
        )
    if tensorflow and _PATTERN.search(os.path.abspath(text)):
        raise InputError(
            f"{name}: TensorFlow treats *, ?, [ and ] in a path as a pattern and would not find "
            f"its files again; rename the folder. Received: {os.path.abspath(text)}"
        )
    return Path(text)
