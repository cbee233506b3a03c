"""Extraction layer of shared and own experts of several tasks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.checks import check_count, checked_units
from tfrec_fusion.layers.mlp import MLP


@keras.utils.register_keras_serializable("tfrec_fusion")
class ProgressiveExtraction(keras.layers.Layer):
    """Mixes experts of tasks and shared ones: one extraction layer of PLE.

    Experts are networks: those of task k read x_k, shared ones read x_s. Task k mixes its own
    experts and the shared ones, with shares `softmax(G_k x_k)`; the shared output mixes all experts
    with `softmax(G_s x_s)` (Tang et al., "Progressive Layered Extraction (PLE)", RecSys 2020).

    Args:
      tasks: number of tasks.
      experts: experts of each task.
      shared: shared experts.
      hidden: units of an expert's layers, with ReLU.
      dropout: dropout rate in [0, 1) of the experts.
      last: whether it is the last one, which has no shared output.

    Input: of each task and then the shared one, a list of `tasks + 1` tensors `[..., width]`.
    Output: likewise `[..., hidden[-1]]`, in the compute dtype; without the shared one if `last`.

    Raises:
      ValueError: counts below 1, or no hidden layer.

    Example:
      >>> x0 = tf.ones([5, 6])
      >>> [one.shape for one in ProgressiveExtraction(2, hidden=[4], last=True)([x0, x0, x0])]
      [TensorShape([5, 4]), TensorShape([5, 4])]
    """

    def __init__(
        self,
        tasks: int,
        experts: int = 2,
        shared: int = 2,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        last: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("tasks", tasks), ("experts", experts), ("shared", shared)):
            check_count(name, value)
        self.options = {
            "tasks": tasks,
            "experts": experts,
            "shared": shared,
            "hidden": checked_units(hidden, least=1),
            "dropout": dropout,
            "last": bool(last),
        }
        policy = {"dtype": self.dtype_policy}
        sizes = [*[experts] * tasks, shared]
        # One flat list: Keras saves no layer that lies in a list of lists.
        self.experts = [
            MLP(hidden, dropout=dropout, name=f"expert_{place}_{index}", **policy)
            for place, size in enumerate(sizes)
            for index in range(size)
        ]
        mixed = [*[experts + shared] * tasks, *([] if last else [sum(sizes)])]
        self.gates = [
            keras.layers.Dense(size, use_bias=False, name=f"gate_{place}", **policy)
            for place, size in enumerate(mixed)
        ]

    def call(self, inputs, training=None):
        inputs = [tf.cast(one, self.compute_dtype) for one in inputs]
        sizes = [*[self.options["experts"]] * self.options["tasks"], self.options["shared"]]
        remaining = iter(self.experts)
        *own, shared = [
            [expert(values, training=training) for expert in itertools.islice(remaining, size)]
            for values, size in zip(inputs, sizes, strict=True)
        ]
        everyone = [expert for experts in own for expert in experts]
        mixed = [[*experts, *shared] for experts in [*own, everyone]]
        return [
            _mix(gate(values), experts)
            for gate, values, experts in zip(self.gates, inputs, mixed, strict=False)
        ]

    def get_config(self):
        return super().get_config() | self.options


def _mix(logits: tf.Tensor, experts: Sequence[tf.Tensor]) -> tf.Tensor:
    """The mean of experts `[..., columns]` with shares softmax(logits) `[..., experts]`."""
    shares = tf.cast(tf.nn.softmax(tf.cast(logits, tf.float32)), experts[0].dtype)
    return tf.squeeze(tf.matmul(tf.expand_dims(shares, -2), tf.stack(experts, -2)), -2)
