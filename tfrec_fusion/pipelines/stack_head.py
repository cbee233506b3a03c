"""The network that ranks the candidates of a `Stack`."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.layers.standardise import Standardise


def stack_head(n_inputs: int, hidden: tuple[int, ...], dropout: float) -> keras.Sequential:
    """Builds a head: inputs `[B, C, n_inputs]` -> logits `[B, C]` float32.

    Args:
      n_inputs: number of inputs of a candidate; they are standardised.
      hidden: units of the layers, with ReLU.
      dropout: dropout rate of the layers.

    Example:
      >>> stack_head(5, (4,), 0.0)(tf.zeros([2, 3, 5])).shape
      TensorShape([2, 3])
    """
    layers: list[keras.layers.Layer] = [
        keras.Input((None, n_inputs)),
        Standardise(n_inputs, name="standardise"),
    ]
    for index, units in enumerate(hidden):
        layers.append(keras.layers.Dense(units, "relu", name=f"deep_{index}"))
        layers.append(keras.layers.Dropout(dropout))
    layers.append(keras.layers.Dense(1, use_bias=False, name="logit"))
    layers.append(keras.layers.Flatten(name="logits"))
    return keras.Sequential(layers, name="head")
