"""Writes a served module as a SavedModel."""

from __future__ import annotations

from pathlib import Path

from tfrec_fusion._compat import tf


def save_graph(served: tf.Module, folder: Path) -> int:
    """Saves the signatures of a module, its variables and tables, and the function `by_row`.

    Another function that the module holds for itself would be saved beside the signatures that it
    is a part of, once as it was traced before and once as it is traced while saving.

    Args:
      served: a `ServedModel` or a `ServedRanker`.
      folder: where the SavedModel is written.

    Returns:
      Bytes of the folder.
    """
    signatures = {
        name: function if hasattr(function, "graph") else function.get_concrete_function()
        for name, function in served.signatures.items()
    }
    kept = tf.Module(name=served.name)
    for name, value in vars(served).items():
        state = isinstance(value, tf.Module | tf.Variable | list) and not name.startswith("_")
        if state or name == "by_row":
            setattr(kept, name, value)
    tf.saved_model.save(kept, str(folder), signatures=signatures)
    return size_of(folder)


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
