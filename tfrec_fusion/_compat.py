"""TensorFlow, the legacy Keras and TFRS, imported on first use in the one order that works.

TFRS refuses Keras 3, and TensorFlow decides which Keras `tf.keras` is when it is first touched. So
importing this module sets `TF_USE_LEGACY_KERAS=1` and nothing more; `tf`, `keras` and `tfrs` are
imported when they are first asked for. A program's own `import keras` keeps giving it Keras 3.

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
# Most of TensorFlow's start-up notes say nothing that a user can act on.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_recommenders as tfrs
    import tf_keras as keras

__all__ = ["addons", "keras", "optional", "tf", "tfrs"]


def _legacy_keras() -> ModuleType:
    tensorflow = importlib.import_module("tensorflow")
    # Keras 3 has a version(), the legacy Keras has not.
    version = getattr(tensorflow.keras, "version", None)
    if version is not None:
        raise ImportError(
            f"tf.keras is already Keras {version()} in this process, and tfrec-fusion needs the "
            "legacy Keras (tf_keras): import tfrec_fusion before tf.keras is first used, or set "
            "TF_USE_LEGACY_KERAS=1 in the environment."
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
    """Import a module that only an extra installs.

    Args:
      module: the module's import name, e.g. `"torch"`.
      extra: the extra of `tfrec-fusion` that installs it, e.g. `"text"`.

    Raises:
      ImportError: the module, or one that it needs, is not installed; the message has the command
        that installs the extra.

    Example:
      >>> optional("yaml", extra="text").__name__
      'yaml'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{module} is not usable here ({error}): install it with "
            f'`pip install "tfrec-fusion[{extra}]"`.',
            name=module,
        ) from error


@functools.cache
def addons() -> ModuleType:
    """Import TensorFlow Addons, so that Keras knows `Addons>Name` in configs and saved models.

    Once this package is imported, `import tensorflow_addons` does the same, but says at length that
    Addons is no longer developed.

    Raises:
      ImportError: Addons is not installed, or this Python is one that it was not released for.

    Example:
      >>> addons().optimizers.LazyAdam.__name__
      'LazyAdam'
    """
    try:
        with warnings.catch_warnings():
            # Both say that Addons is no longer developed; the extra is chosen in spite of that.
            warnings.filterwarnings("ignore", module="tensorflow_addons")
            warnings.filterwarnings("ignore", message=r"(?s).*TensorFlow Addons \(TFA\)")
            return optional("tensorflow_addons", extra="addons")
    except ImportError as error:
        if sys.version_info < (3, 12):
            raise
        raise ImportError(
            "TensorFlow Addons has no release for Python 3.12 and later: use Python 3.11, or "
            "nothing whose name starts with 'Addons>'."
        ) from error


class _AddonsLoader(SourceFileLoader):
    """Imports TensorFlow Addons 0.23, its last release, beside TensorFlow 2.21.

    It looks for `KerasTensor` under the path that Keras 2 had, and finds tf_keras's there during
    its import. Its Python parts work: LazyAdam, LAMB, Lookahead, MovingAverage, SWA, the focal,
    triplet and contrastive losses, PolynomialCrossing. Its compiled operations do not.
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
    """Gives `tensorflow_addons` its loader, whoever imports it."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == "tensorflow_addons" else None
        if spec is not None and spec.origin is not None:
            spec.loader = _AddonsLoader(name, spec.origin)
        return spec


sys.meta_path.insert(0, _AddonsFinder)
