"""Writes a served module as a SavedModel."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tfrec_fusion._compat import tf
from tfrec_fusion.export.input_checks import concrete


def save_graph(served: tf.Module, folder: Path) -> int:
    """Saves the signatures of a module, its variables and tables, `by_row` and `plain`.

    Another function that the module holds for itself would be saved beside the signatures that it
    is a part of, once as it was traced before and once as it is traced while saving.

    Args:
      served: a `ServedModel` or a `ServedRanker`.
      folder: where the SavedModel is written.

    Returns:
      Bytes of the folder.
    """
    kept = tf.Module(name=served.name)
    for name, value in vars(served).items():
        state = isinstance(value, tf.Module | tf.Variable | list) and not name.startswith("_")
        if state or name in ("by_row", "plain"):
            setattr(kept, name, value)
    tf.saved_model.save(kept, str(folder), signatures=served.signatures)
    return size_of(folder)


def variables_of(functions: Iterable[tf.types.experimental.ConcreteFunction]) -> list[tf.Variable]:
    """Each variable that any of the functions reads, once."""
    return list({v.ref(): v for one in functions for v in one.graph.variables}.values())


def plain_function(loaded, signature: str) -> tf.types.experimental.ConcreteFunction:
    """The function of a loaded version's signature without checks and merging, by input names."""
    function = loaded.signatures[signature]
    if not hasattr(loaded, "plain"):  # of a version of before there were any
        return function
    return concrete(loaded.plain[signature], function.structured_input_signature[1])


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
