"""Base class of backbones over fields of equal width."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.models.backbones.backbone import Backbone


class FieldBackbone(Backbone):
    """Lets fields interact: vectors of equal width, one an input of the ranker.

    A subclass implements `interact`. It may create weights in `build`, after `super().build`, which
    sets `n_fields`, their number, and `dim`, their width.

    The fields are the "fields" and "features" of `Backbone` in the order of their names, and a last
    one made from the numbers by `number_layer`, by default a linear map.

    Input: a dict of "x0", "fields", "features" and "numbers".
    Output: `[B, N, columns]`.

    Example:
      >>> class Sums(FieldBackbone):
      ...     def interact(self, fields, x0, training=None):
      ...         return tf.reduce_sum(fields, -2)
    """

    reads: tuple[str, ...] = ("x0", "fields", "features", "numbers")

    def number_layer(self, dim: int) -> keras.layers.Layer:
        """Returns the layer that maps the numbers `[..., columns]` to a field `[..., dim]`."""
        return keras.layers.Dense(dim, name="number_field", dtype=self.dtype_policy)

    def interact(self, fields: tf.Tensor, x0: tf.Tensor | None, training=None) -> tf.Tensor:
        """Maps fields `[B, N, n_fields, dim]` to the representation.

        Args:
          fields: the fields in the order of their names, and last that of the numbers.
          x0: all features, `[B, N, width]`; None if `reads` does not name them.
          training: whether it is training.
        """
        raise NotImplementedError

    def build(self, input_shape):
        fields = input_shape["fields"] | input_shape["features"]
        self.dim = fields["item"][-1]
        self.has_numbers = bool(input_shape["numbers"][-1])
        self.n_fields = len(fields) + self.has_numbers
        if self.has_numbers:
            self.numbers = self.number_layer(self.dim)
        super().build(input_shape)

    def call(self, inputs, training=None):
        # By name, as Keras and TensorFlow sort the keys of some dicts, but not of all.
        named = inputs["fields"] | inputs["features"]
        fields = [named[name] for name in sorted(named)]
        if self.has_numbers:
            fields.append(self.numbers(inputs["numbers"]))
        shape = tf.shape(inputs["fields"]["item"])
        same = [tf.broadcast_to(tf.cast(one, self.compute_dtype), shape) for one in fields]
        return self.interact(tf.stack(same, -2), inputs.get("x0"), training=training)

    def flattened(self, fields: tf.Tensor) -> tf.Tensor:
        """Concatenates fields `[..., fields, columns]` to `[..., fields * columns]`."""
        width = fields.shape[-2] * fields.shape[-1]
        return tf.reshape(fields, tf.concat([tf.shape(fields)[:-2], [width]], 0))
