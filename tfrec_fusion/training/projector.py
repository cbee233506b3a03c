"""Writes item vectors for TensorBoard's projector."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tensorboard.plugins import projector

from tfrec_fusion.files import new_file
from tfrec_fusion.paths import local_path


def write_projector(
    logdir: str | os.PathLike,
    vectors: Mapping[str, np.ndarray],
    titles: Sequence[str],
) -> None:
    """Writes vectors, titles and the config file of TensorBoard's projector plugin.

    Args:
      logdir: folder for `projector_config.pbtxt` and a subfolder `projector`.
      vectors: name -> `[n, d]` float32.
      titles: `[n]`; tabs and line breaks become spaces, as a TSV file cannot hold them.

    Example:
      >>> write_projector("logs", {"fused": np.eye(2, dtype="float32")}, ["a mug", "a lamp"])
    """
    folder = local_path(logdir, "projector", tensorflow=True) / "projector"
    # The projector expects no header in a file of one column.
    lines = (" ".join(str(title).split()) or "(no title)" for title in titles)
    _write(folder / "titles.tsv", "".join(f"{line}\n" for line in lines).encode())
    config = projector.ProjectorConfig()
    for name, values in vectors.items():
        values = np.ascontiguousarray(values, np.float32)
        _write(folder / f"{name}.bytes", values.tobytes())
        config.embeddings.add(
            tensor_name=name,
            tensor_shape=values.shape,
            tensor_path=f"projector/{name}.bytes",
            metadata_path="projector/titles.tsv",
        )
    projector.visualize_embeddings(str(logdir), config)


def _write(path: Path, content: bytes) -> None:
    with new_file(path) as file:
        file.write(content)
