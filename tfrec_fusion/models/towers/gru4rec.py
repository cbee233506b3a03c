"""User tower of GRU4Rec."""

from __future__ import annotations

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import ResumableDropout
from tfrec_fusion.models.towers.sequence_tower import SequenceTower


@keras.utils.register_keras_serializable("tfrec_fusion")
class GRU4Rec(SequenceTower):
    """Gated recurrent unit over the last events, and a linear map of its state.

    Source: Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR
    2016.

    Args:
      dim, n_users, n_items, max_len: see `SequenceTower`.
      units: size of the state; None takes `dim`.
      dropout: rate on the inputs.

    Input, output: see `UserTower`.
    """

    def __init__(
        self,
        dim: int | None = None,
        n_users: int | None = None,
        n_items: int | None = None,
        max_len: int = 50,
        units: int | None = None,
        dropout: float = 0.2,
        **kwargs,
    ):
        super().__init__(dim, n_users, n_items, max_len, **kwargs)
        self.options = {"units": units, "dropout": dropout}

    def build(self, input_shape):
        units = self.options["units"] or self.dim
        self.dropout = ResumableDropout(self.options["dropout"], name="dropout")
        self.cell = keras.layers.GRUCell(units, name="cell", dtype="float32")
        self.output_map = keras.layers.Dense(self.dim, name="output", dtype="float32")
        super().build(input_shape)

    def encode(self, vectors, ages, present, training=None):
        vectors = self.dropout(tf.cast(vectors, tf.float32), training=training)
        begin = tf.zeros([tf.shape(vectors)[0], self.cell.units])

        def step(place, state, states):
            new = self.cell(tf.gather(vectors, place, axis=1), state)[0]
            state = tf.where(tf.gather(present, place, axis=1)[:, None], new, state)
            return place + 1, state, tf.concat([states, state[:, None]], 1)

        # Without tensor arrays, which ONNX lacks.
        _, _, states = tf.while_loop(
            lambda place, *_: place < tf.shape(vectors)[1],
            step,
            (tf.constant(0), begin, begin[:, None][:, :0]),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([None, self.cell.units]),
                tf.TensorShape([None, None, self.cell.units]),
            ),
        )
        return self.output_map(states)

    def get_config(self):
        return super().get_config() | self.options
