"""Writes a served module as a SavedModel."""

from __future__ import annotations

from pathlib import Path

from tfrec_fusion._compat import tf


def save_graph(served: tf.Module, folder: Path) -> None:
    """Saves the signatures of a module, its variables and tables, and no other function.

    A function that the module holds for itself would be saved beside the signatures that it is a
    part of, once as it was traced before and once as it is traced while saving.

    Args:
      served: a `ServedModel` or a `ServedRanker`.
      folder: of the version.
    """
    signatures = {
        name: function if hasattr(function, "graph") else function.get_concrete_function()
        for name, function in served.signatures.items()
    }
    kept = tf.Module(name=served.name)
    for name, value in vars(served).items():
        if isinstance(value, tf.Module | tf.Variable | list) and not name.startswith("_"):
            setattr(kept, name, value)
    tf.saved_model.save(kept, str(folder), signatures=signatures)
