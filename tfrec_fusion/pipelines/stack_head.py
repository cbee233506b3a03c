"""The network that ranks the candidates of a `Stack`."""

from __future__ import annotations

from tfrec_fusion._compat import keras
from tfrec_fusion.layers.standardise import Standardise

_LIMIT = 10.0  # deviations of an input: of later events it may be beyond all of training


def stack_head(
    n_inputs: int, hidden: tuple[int, ...], dropout: float, networks: int
) -> keras.Model:
    """Builds a head: inputs `[B, C, n_inputs]` -> logits `[B, C]` float32.

    The logits are the mean of those of several networks with weights of their own, a deep ensemble
    (Lakshminarayanan et al., NeurIPS 2017); `training.stack_folds.fit_head` trains them.

    Args:
      n_inputs: number of inputs of a candidate; they are standardised, within 10 deviations.
      hidden: units of the layers of a network, with ReLU.
      dropout: dropout rate of the layers.
      networks: number of networks.

    Example:
      >>> stack_head(5, (4,), 0.0, networks=2)(tf.zeros([2, 3, 5])).shape
      TensorShape([2, 3])
    """
    inputs = keras.Input((None, n_inputs), name="candidates")
    standardised = Standardise(n_inputs, _LIMIT, name="standardise")(inputs)
    logits = []
    for network in range(networks):
        found = standardised
        for index, units in enumerate(hidden):
            name = f"network_{network}_deep_{index}"
            found = keras.layers.Dense(units, "relu", name=name)(found)
            found = keras.layers.Dropout(dropout)(found)
        found = keras.layers.Dense(1, use_bias=False, name=f"network_{network}_logit")(found)
        logits.append(keras.layers.Flatten(name=f"network_{network}")(found))
    mean = keras.layers.Average(name="logits")(logits) if networks > 1 else logits[0]
    return keras.Model(inputs, mean, name="head")


def separate_logits(head: keras.Model, networks: int) -> keras.Model:
    """Returns the same networks as a model of a list of logits, to be trained each by its own."""
    outputs = [head.get_layer(f"network_{index}").output for index in range(networks)]
    return keras.Model(head.input, outputs)
