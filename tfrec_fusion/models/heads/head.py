"""Base class of the prediction heads of a ranker."""

from __future__ import annotations

from collections.abc import Mapping

from tfrec_fusion._compat import keras, tf


class Head(keras.layers.Layer):
    """Predicts one number from a representation, and selects its labels from a batch.

    A subclass defines `default_loss` and `default_metrics`, used unless `compile(loss=...)` sets
    another loss.

    Args:
      label: field of the batches with the labels, in the shape of `item`.
      weight: field with the weights of rows `[B]`; without it all rows have weight 1.
      mask: bool field in the shape of `label`, False for a missing label; None if all exist.

    Input: the representation `[..., columns]` float.
    Output: `[...]` float32, linear in it.
    """

    def __init__(
        self, label: str = "label", weight: str = "weight", mask: str | None = None, **kwargs
    ):
        super().__init__(**({"dtype": "float32"} | kwargs))
        self.label, self.weight, self.mask = label, weight, mask
        self.linear = keras.layers.Dense(1, dtype=self.dtype, name="linear")

    @property
    def fields(self) -> list[str]:
        """The fields that a batch must contain."""
        return [self.label] if self.mask is None else [self.label, self.mask]

    def call(self, representation):
        return tf.squeeze(self.linear(representation), -1)

    def examples(
        self, batch: Mapping[str, tf.Tensor], logits: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Returns labels and logits `[n, 1]` and weights `[n]` or None of labelled examples."""
        labels, flat = tf.reshape(batch[self.label], [-1, 1]), tf.reshape(logits, [-1, 1])
        weights = batch.get(self.weight)
        if weights is not None:
            weights = tf.repeat(weights, tf.size(logits) // tf.size(weights))
        if self.mask is None:
            return labels, flat, weights
        known = tf.reshape(batch[self.mask], [-1])
        if weights is not None:
            weights = weights[known]
        return labels[known], flat[known], weights

    def lists(
        self, batch: Mapping[str, tf.Tensor], logits: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Returns labels `[B, N]`, NaN if missing, logits `[B, N]`, and weights `[B]` or None."""
        shape = tf.stack([tf.shape(batch["user"])[0], -1])
        labels = tf.cast(tf.reshape(batch[self.label], shape), tf.float32)
        if self.mask is not None:
            labels = tf.where(tf.reshape(batch[self.mask], shape), labels, float("nan"))
        return labels, tf.reshape(logits, shape), batch.get(self.weight)

    def default_loss(self) -> keras.losses.Loss:
        """Returns the default loss of labels and logits."""
        raise NotImplementedError

    def default_metrics(self) -> list[keras.metrics.Metric]:
        """Returns the weighted metrics that go with the default loss."""
        return []

    def get_config(self):
        config = {"label": self.label, "weight": self.weight, "mask": self.mask}
        return super().get_config() | config
