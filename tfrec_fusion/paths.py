"""Paths that were given."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tfrec_fusion.errors import InputError

# pathlib makes one slash of two. A letter alone is a drive.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_PATTERN = re.compile(r"[*?\[\]]")


def local_path(path: str | os.PathLike, name: str, *, tensorflow: bool = False) -> Path:
    """The path, if it is one of this machine's files.

    Args:
      path: a file or a folder; it need not be there.
      name: what it is, for messages.
      tensorflow: whether TensorFlow writes or reads there. It takes `*`, `?` and brackets for
        patterns and then does not find what it wrote.

    Raises:
      InputError: the path is empty; or has a scheme (`s3://`, `gs://`, `hdfs://`, `file://`), of
        which pathlib would make a local folder; or a null character; or `~` as its first folder,
        which some libraries take for the home folder and others do not; or, for TensorFlow, a
        pattern's character in it or in a folder above it.

    Example:
      >>> local_path("runs/shop", "run").name
      'shop'
    """
    text = os.fspath(path)
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if not text:
        raise InputError(f"{name}: a path may not be empty; '.' is the present folder")
    if "\0" in text:
        raise InputError(f"{name}: a path may not hold a null character. Received: {text!r}")
    scheme = _SCHEME.match(text)
    if scheme:
        raise InputError(
            f"{name}: must be a path of a local or mounted file system; {scheme[1]}:// is not "
            f"supported, so copy to or from there with its own tools. Received: {text}"
        )
    if text.partition("/")[0].startswith("~"):
        raise InputError(
            f"{name}: ~ is not expanded here, nor by a shell within --option=~/...; write the home "
            f"folder out, or ./~ for a folder of that name. Received: {text}"
        )
    if tensorflow and _PATTERN.search(os.path.abspath(text)):
        raise InputError(
            f"{name}: TensorFlow takes *, ?, [ and ] in a path for a pattern and would not find "
            f"its files again; rename the folder. Received: {os.path.abspath(text)}"
        )
    return Path(text)
