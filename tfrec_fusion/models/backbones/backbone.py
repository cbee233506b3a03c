"""Base class of the networks over a ranker's features."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tfrec_fusion._compat import keras, tf

if TYPE_CHECKING:
    from tfrec_fusion.models.heads.head import Head


class Backbone(keras.layers.Layer):
    """Maps a ranker's inputs to a representation, in which the logit is linear.

    A subclass implements `call(x0, training=None)`, creates its weights in `build(input_shape)`,
    and adds its constructor's arguments to `get_config`. Pass it as `Ranker(backbone=...)`.

    `reads`, an attribute of the class or the object, names what it reads. With ("x0",) alone the
    input is the tensor x_0. With other names it is a dict of them; B is the number of users, N of
    items a user, L of events a user:

    - "x0": all features of an item for a user, concatenated, `[B, N, width]`;
    - "fields": name -> vector `[B, N, dim]`, or `[B, 1, dim]` where it is the same for all items:
      "item", "user", their "product" and, if one is declared, the "context";
    - "features": such vectors of the declared features, one a feature with categories, such as
      "item.colour" or "user.country", and one for all numbers of a side, such as "item_numbers". A
      feature without a value has the vector 0;
    - "numbers": normalised numbers `[B, N, columns]` float32, of 0 columns or more;
    - "history": a dict of the events' "vectors" `[B, L, dim]`, the latest last, "present" `[B, L]`
      bool and "ages" `[B, L]` in days; vectors are 0 where no event is present. Items have the
      vectors of the field "item". It needs a ranker that reads histories.

    `splits_tasks`, an attribute of the class, says that the constructor takes `tasks`, the number
    of the ranker's heads, and that with it the output has a representation for each head. Other
    backbones give the same representation to all heads.

    Input: x_0, or a dict as above; vectors are in the compute dtype.
    Output: `[B, N, columns]`, any number of columns; with `tasks` `[B, N, tasks, columns]`.

    Raises:
      ValueError: the constructors of the built-in backbones refuse other values than they document.

    Example:
      >>> class Linear(Backbone):
      ...     def call(self, x0, training=None):
      ...         return x0
      >>> Linear()(tf.ones([1, 2, 3])).shape
      TensorShape([1, 2, 3])
    """

    reads: tuple[str, ...] = ("x0",)
    splits_tasks = False

    def call(self, inputs, training=None):
        raise NotImplementedError

    def check(self, dim: int, fields: Collection[str]) -> None:
        """Raises InputError if it cannot read fields of this width and with these names."""

    def head_losses(self, representation: tf.Tensor, head: Head) -> list[tf.Tensor]:
        """Returns further losses of a training batch; none unless a subclass has some.

        Args:
          representation: what `call` returned, of this head alone.
          head: the head that reads it.
        """
        return []
