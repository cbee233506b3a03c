"""Target attention of DIN."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import checked_units
from tfrec_fusion.layers.mlp import MLP


@keras.utils.register_keras_serializable("tfrec_fusion")
class TargetAttention(keras.layers.Layer):
    """Pools a history by how much each event says about an item: `sum_j a(t, h_j) h_j`.

    The activation unit a is a network on `[t, h, t - h, t * h]` of the item t and the event h (Zhou
    et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018). As in the paper
    the weights are not normalised, so that the pool tells how strong an interest is. A masked event
    adds nothing either way.

    Because the first layer is linear in its input, it is computed as `A t + B h + C (t * h) + b`
    with the terms of items and events computed once each, and not once a pair.

    Args:
      hidden: units of the activation unit's hidden layers.
      activation: their activation.
      softmax: whether the weights of a history sum to 1, as in the authors' later code.

    Input: `items` `[B, N, dim]` and `history` `[B, L, dim]` float, `present` `[B, L]` bool.
    Output: `[B, N, dim]`; zeros for an empty history.

    Raises:
      ValueError: no hidden layer, or units below 1.

    Example:
      >>> items, history = tf.ones([2, 3, 4]), tf.ones([2, 5, 4])
      >>> TargetAttention([8])(items, history, tf.zeros([2, 5], tf.bool)).shape
      TensorShape([2, 3, 4])
    """

    def __init__(
        self,
        hidden: Sequence[int] = (36,),
        activation: str = "relu",
        softmax: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden = checked_units(hidden, least=1)
        self.options = {"activation": activation, "softmax": bool(softmax)}
        self.activation = keras.activations.get(activation)
        policy = {"dtype": self.dtype_policy}
        self.of_item, self.of_event, self.of_product = (
            keras.layers.Dense(self.hidden[0], use_bias=name == "event", name=name, **policy)
            for name in ("item", "event", "product")
        )
        self.deeper = MLP(self.hidden[1:], activation, name="deeper", **policy)
        self.last = keras.layers.Dense(1, name="last", **policy)

    def call(self, items, history, present):
        items, history = (tf.cast(one, self.compute_dtype) for one in (items, history))
        # LiteRT does not support [:, None, :].
        pair = tf.expand_dims(items, 2) * tf.expand_dims(history, 1)
        units = tf.expand_dims(self.of_item(items), 2) + tf.expand_dims(self.of_event(history), 1)
        units = self.deeper(self.activation(units + self.of_product(pair)))
        weights = tf.cast(tf.squeeze(self.last(units), -1), tf.float32)
        present = tf.expand_dims(present, 1)
        if self.options["softmax"]:
            weights = tf.nn.softmax(tf.where(present, weights, -1e9))
        weights = tf.where(present, weights, 0.0)
        return tf.matmul(tf.cast(weights, history.dtype), history)

    def get_config(self):
        return super().get_config() | {"hidden": list(self.hidden), **self.options}
