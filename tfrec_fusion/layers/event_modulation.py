"""Layer that changes the vectors of a history by what is known of its events."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers.side_features import SideFeatures


@keras.utils.register_keras_serializable("tfrec_fusion")
class EventModulation(keras.layers.Layer):
    """Scales and shifts each history item's vector by its event's features: `(1 + s) * v + b`.

    s and b are vectors of `SideFeatures` of the event, which start at zero, so that a model starts
    as the same model without them. The product lets a low rating or a mere view turn an item's
    vector around or mute it, which a sum could not: after linear pooling, it would only shift the
    user's vector, whatever the item. Source: FiLM, Perez et al., AAAI 2018.

    Args:
      dim: size of the item vectors.
      n_values, slots, n_numbers, embedding_dim, hidden, flags: see `SideFeatures`.

    Input: `vectors` `[..., dim]` float, `categories` `[..., width]` int32, -1 for missing, and
      `numbers` `[..., n_numbers]` float32.
    Output: `[..., dim]` float32; an event of categories -1 and numbers 0 changes nothing.

    Example:
      >>> layer = EventModulation(2, n_values=3, slots=[(1, "sum")], n_numbers=0)
      >>> layer(np.ones([1, 2]), np.array([[0]]), np.zeros([1, 0])).numpy().tolist()
      [[1.0, 1.0]]
    """

    def __init__(
        self,
        dim: int,
        n_values: int,
        slots: Sequence[Sequence],
        n_numbers: int,
        embedding_dim: int = 16,
        hidden: int = 32,
        flags: Sequence[int] = (),
        **kwargs,
    ):
        super().__init__(autocast=False, **({"dtype": "float32"} | kwargs))
        self.dim = dim
        self.side = SideFeatures(
            0,
            n_values,
            slots,
            n_numbers,
            2 * dim,
            embedding_dim,
            hidden,
            flags=flags,
            name=self.name,
        )

    def call(self, vectors, categories, numbers):
        scale, shift = tf.split(self.side.of(categories, numbers), 2, -1)
        return (1.0 + scale) * tf.cast(vectors, tf.float32) + shift

    def get_config(self):
        kept = ("n_values", "slots", "n_numbers", "embedding_dim", "hidden", "flags")
        own = {name: self.side.options[name] for name in kept}
        return super().get_config() | {"dim": self.dim, **own}
