"""Writes a served module as a SavedModel."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tfrec_fusion._compat import tf
from tfrec_fusion.export.input_checks import concrete


def save_graph(served: tf.Module, folder: Path) -> int:
    """Saves a module's signatures, variables, tables, `by_row` and `plain`, and nothing else.

    The module's other functions are already part of the signatures; saving them too would write
    each twice, as traced before and as traced while saving.

    Args:
      served: a `ServedModel` or a `ServedRanker`.
      folder: where the SavedModel is written.

    Returns:
      Size of the folder in bytes.
    """
    kept = tf.Module(name=served.name)
    for name, value in vars(served).items():
        state = isinstance(value, tf.Module | tf.Variable | list) and not name.startswith("_")
        if state or name in ("by_row", "plain"):
            setattr(kept, name, value)
    tf.saved_model.save(kept, str(folder), signatures=served.signatures)
    return size_of(folder)


def variables_of(functions: Iterable[tf.types.experimental.ConcreteFunction]) -> list[tf.Variable]:
    """The distinct variables that the functions read."""
    return list({v.ref(): v for one in functions for v in one.graph.variables}.values())


def plain_function(loaded, signature: str) -> tf.types.experimental.ConcreteFunction:
    """The function of a loaded version's signature without shape checks and request merging."""
    function = loaded.signatures[signature]
    if not hasattr(loaded, "plain"):  # exported before there were plain functions
        return function
    return concrete(loaded.plain[signature], function.structured_input_signature[1])


def size_of(folder: Path) -> int:
    """Size of the files in a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
