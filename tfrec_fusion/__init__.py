"""Recommenders that train on ids and text vectors in one Keras model, served as a SavedModel."""

# This chooses the legacy Keras, which must happen before the program uses tf.keras.
from tfrec_fusion import _compat  # noqa: F401
from tfrec_fusion._lazy import attach

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(
    __name__,
    {"auto": "training.choosing"},
    submodules=[
        "client",
        "data",
        "deploy",
        "embeddings",
        "evaluation",
        "examples",
        "export",
        "features",
        "layers",
        "losses",
        "metrics",
        "models",
        "monitoring",
        "optimizers",
        "pipelines",
        "rerank",
        "retrieval",
        "training",
    ],
)
