"""Targets of users with several vectors: each belongs to the interest that scores it highest."""

from __future__ import annotations

from tfrec_fusion._compat import tf
from tfrec_fusion.models.objectives.targets import Targets


def own_interests(
    users: tf.Tensor, items: tf.Tensor, targets: Targets, weight: tf.Tensor | None
) -> tuple[tf.Tensor, Targets, tf.Tensor]:
    """Gives each interest that is the best of some target a row of its own.

    Other targets of the same user are masked in such a row, as another interest is to score them.

    Args:
      users: `[B, interests, D]` float32.
      items: `[C, D]` float32 vectors of the candidates.
      targets: of the B users.
      weight: `[B]` float32, or None for 1.

    Returns:
      Vectors `[R, D]` of the interests, ascending by user; their targets; and weights `[R]` float32
      with which the mean over these rows is that over users, of the mean over a user's targets.
    """
    n_users, n_interests = tf.shape(users)[0], users.shape[1]
    owner, column = tf.unstack(targets.target, axis=1)
    scores = tf.linalg.matvec(tf.gather(users, owner), tf.gather(items, column))
    group = owner * n_interests + tf.argmax(scores, 1, tf.int32)
    groups = tf.sort(tf.unique(group)[0])
    vectors = tf.gather(tf.reshape(users, [-1, users.shape[2]]), groups)

    row, place = _expanded(owner, groups // n_interests)
    pairs = tf.stack([row, tf.gather(column, place)], 1)
    own = tf.gather(group, place) == tf.gather(groups, row)
    masked_row, masked_place = _expanded(targets.masked[:, 0], groups // n_interests)
    masked = tf.stack([masked_row, tf.gather(targets.masked[:, 1], masked_place)], 1)
    masked = tf.concat([masked, tf.boolean_mask(pairs, ~own)], 0)
    masked = tf.gather(masked, tf.argsort(masked[:, 0], stable=True))
    label = targets.label
    if label is not None:
        label = tf.boolean_mask(tf.gather(label, place), own)
    chosen = targets._replace(target=tf.boolean_mask(pairs, own), masked=masked, label=label)

    def counted(index, size):
        return tf.math.unsorted_segment_sum(tf.ones(tf.shape(index)), index, size)

    n_rows = tf.size(groups)
    of_user = tf.gather(counted(owner, n_users), groups // n_interests)
    share = counted(chosen.target[:, 0], n_rows) / of_user
    if weight is not None:
        share *= tf.gather(tf.cast(tf.reshape(weight, [-1]), tf.float32), groups // n_interests)
    return vectors, chosen, share * tf.cast(n_rows, tf.float32) / tf.cast(n_users, tf.float32)


def _expanded(owners: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows `[E]` and places `[E]` of the elements whose owner (ascending) is that of each row."""
    begin, end = (tf.searchsorted(owners, rows, side) for side in ("left", "right"))
    row = tf.repeat(tf.range(tf.size(rows)), end - begin)
    first = tf.cumsum(end - begin, exclusive=True)
    return row, tf.range(tf.size(row)) + tf.gather(begin - first, row)
