"""Imports TensorFlow, the legacy Keras and TFRS on first use, in the only order that works.

TFRS does not support Keras 3, and TensorFlow chooses the Keras behind `tf.keras` at first use. So
importing this module only sets `TF_USE_LEGACY_KERAS=1`; the first access to `tf`, `keras` or `tfrs`
imports it. A program's own `import keras` still imports Keras 3.

Example:
  >>> from tfrec_fusion._compat import keras, tf, tfrs
"""

import functools
import importlib
import os
import sys
import warnings
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
# Hides TensorFlow's start-up messages, most of which a user cannot act on.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_recommenders as tfrs
    import tf_keras as keras

__all__ = ["addons", "keras", "optional", "tf", "tfrs"]


def _legacy_keras() -> ModuleType:
    tensorflow = importlib.import_module("tensorflow")
    # Only Keras 3 has a version().
    version = getattr(tensorflow.keras, "version", None)
    if version is not None:
        raise ImportError(
            f"tfrec-fusion needs the legacy Keras (tf_keras), but tf.keras is already Keras "
            f"{version()} in this process: import tfrec_fusion before tf.keras is first used, or "
            "set TF_USE_LEGACY_KERAS=1 in the environment."
        )
    return tensorflow.keras


def __getattr__(name: str) -> Any:
    if name not in ("keras", "tf", "tfrs"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    values = {"keras": _legacy_keras(), "tf": sys.modules["tensorflow"]}
    if name == "tfrs":
        values["tfrs"] = importlib.import_module("tensorflow_recommenders")
    globals().update(values)
    return values[name]


def optional(module: str, extra: str) -> ModuleType:
    """Imports a module of an optional extra.

    Args:
      module: the module's import name, e.g. `"torch"`.
      extra: the extra of `tfrec-fusion` that installs it, e.g. `"text"`.

    Raises:
      ImportError: the module or a dependency is not installed; the message contains the command
        that installs the extra.

    Example:
      >>> optional("yaml", extra="text").__name__
      'yaml'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{module} cannot be imported ({error}): install it with "
            f'`pip install "tfrec-fusion[{extra}]"`.',
            name=module,
        ) from error


@functools.cache
def addons() -> ModuleType:
    """Imports TensorFlow Addons, so that Keras finds `Addons>Name` in configs and saved models.

    After importing this package, `import tensorflow_addons` works too, but warns that Addons is no
    longer developed.

    Raises:
      ImportError: Addons is not installed, or has no release for this Python version.

    Example:
      >>> addons().optimizers.LazyAdam.__name__
      'LazyAdam'
    """
    try:
        with warnings.catch_warnings():
            # Both warn that Addons is no longer developed; the user chose the extra regardless.
            warnings.filterwarnings("ignore", module="tensorflow_addons")
            warnings.filterwarnings("ignore", message=r"(?s).*TensorFlow Addons \(TFA\)")
            return optional("tensorflow_addons", extra="addons")
    except ImportError as error:
        if sys.version_info < (3, 12):
            raise
        raise ImportError(
            "TensorFlow Addons has no release for Python 3.12 and later: use Python 3.11, or avoid "
            "names that start with 'Addons>'."
        ) from error


class _AddonsLoader(SourceFileLoader):
    """Imports TensorFlow Addons 0.23, its last release, with TensorFlow 2.21.

    Addons imports `KerasTensor` from the path of Keras 2; during its import that path points to
    tf_keras. The Python parts of Addons work: LazyAdam, LAMB, Lookahead, MovingAverage, SWA, the
    focal, triplet and contrastive losses, PolynomialCrossing. Its compiled operations do not.
    """

    def exec_module(self, module: ModuleType) -> None:
        _legacy_keras()
        alias = "keras.src.engine"
        importlib.import_module("tf_keras.src.engine.keras_tensor")
        sys.modules[alias] = sys.modules["tf_keras.src.engine"]
        try:
            super().exec_module(module)
        finally:
            del sys.modules[alias]


class _AddonsFinder:
    """Uses `_AddonsLoader` for every import of `tensorflow_addons`."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == "tensorflow_addons" else None
        if spec is not None and spec.origin is not None:
            spec.loader = _AddonsLoader(name, spec.origin)
        return spec


sys.meta_path.insert(0, _AddonsFinder)
