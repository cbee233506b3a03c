"""PLE: experts of each task and shared ones, in layers."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import ProgressiveExtraction
from tfrec_fusion.layers.checks import check_count
from tfrec_fusion.models.backbones.backbone import Backbone


@keras.utils.register_keras_serializable("tfrec_fusion")
class PLE(Backbone):
    """Progressive layered extraction: each head has experts of its own beside shared ones.

    The layers are `ProgressiveExtraction`; the first reads x_0, a later one what the one before
    returned for each head and for all (Tang et al., RecSys 2020). One layer is the paper's CGC.

    Args:
      layers: number of extraction layers.
      experts: experts of each head, in each layer.
      shared: shared experts in each layer.
      hidden: units of an expert's layers, with ReLU.
      dropout: dropout rate in [0, 1) of the experts.
      tasks: number of heads, set by the ranker; None for one.

    Input: x_0 `[..., width]` in the compute dtype.
    Output: `[..., hidden[-1]]` float32; with `tasks` `[..., tasks, hidden[-1]]`.

    Example:
      >>> PLE(hidden=[4], tasks=3)(tf.ones([1, 2, 8])).shape
      TensorShape([1, 2, 3, 4])
    """

    splits_tasks = True

    def __init__(
        self,
        layers: int = 2,
        experts: int = 2,
        shared: int = 2,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
        tasks: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_count("layers", layers)
        self.tasks = tasks
        self.extraction = [
            ProgressiveExtraction(
                1 if tasks is None else tasks,
                experts,
                shared,
                hidden,
                dropout,
                last=index == layers - 1,
                name=f"extraction_{index}",
                dtype=self.dtype_policy,
            )
            for index in range(layers)
        ]

    def call(self, x0, training=None):
        values = [x0] * (1 + (1 if self.tasks is None else self.tasks))
        for layer in self.extraction:
            values = layer(values, training=training)
        if self.tasks is None:
            return tf.cast(values[0], tf.float32)
        return tf.cast(tf.stack(values, -2), tf.float32)

    def get_config(self):
        options = self.extraction[0].options
        given = {name: options[name] for name in ("experts", "shared", "hidden", "dropout")}
        own = {"layers": len(self.extraction), "tasks": self.tasks}
        return super().get_config() | given | own
