"""Batches that hold examples of several kinds, for one training step on all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.search import PREFIX

_MARK = "/"


def joint_examples(
    interactions: tf.data.Dataset,
    searches: tf.data.Dataset | None = None,
    **terms: tf.data.Dataset,
) -> tf.data.Dataset:
    """Returns batches of interactions, each with the marked fields of further batches.

    An epoch is one of the longest dataset; the others begin anew as often as it takes. To resume
    after e epochs of n batches, a dataset of c batches per epoch has `first_epoch=e * (n // c)`.

    Args:
      interactions: batches of `Interactions.batches`, which the model's other terms read.
      searches: batches of `search_examples`, for a `SearchModel`.
      **terms: name of a term of the loss -> the batches of `Interactions.batches` that it reads in
        place of `interactions`; see `Joint`.

    Raises:
      InputError: no dataset, one of unknown length, or all are endless.

    Example:
      >>> model = tff.models.TwoTower(split.train, dim=8, user="sasrec", trend=False)
      >>> model.compile(loss={"collaborative": "softmax", "sequence": "softmax"})
      >>> ordered = split.train.batches(128, examples="sequence")
      >>> batches = joint_examples(split.train.batches(512), sequence=ordered)
      >>> history = model.fit(batches, steps_per_epoch=2, verbose=0).history
      >>> sorted(history)
      ['collaborative_loss', 'examples', 'loss', 'sequence_loss', 'softmax_loss']
    """
    prefixes = {name + _MARK: batches for name, batches in terms.items()}
    if searches is not None:
        prefixes[PREFIX] = searches
    datasets = {"interactions": interactions, **prefixes}
    for name, one in datasets.items():
        if not isinstance(one, tf.data.Dataset):
            raise InputError(
                f"joint_examples: {name.rstrip('_/')}: must be a tf.data.Dataset, e.g. "
                f"events.batches(512). Received: {type(one).__name__}"
            )
    counts = {name: int(one.cardinality()) for name, one in datasets.items()}
    for name, count in counts.items():
        if count == tf.data.UNKNOWN_CARDINALITY:
            raise InputError(
                f"joint_examples: {name.rstrip('_/')}: the number of batches is unknown; pass "
                "batches of events.batches(...), or assert it by "
                "tf.data.experimental.assert_cardinality"
            )
    longest = max(counts.values())
    if longest < 0:
        raise InputError(
            "joint_examples: all datasets are endless; pass one whose pass is an epoch. "
            f"Received: {', '.join(name.rstrip('_/') for name in counts)}"
        )

    def together(ours, *theirs):
        for prefix, fields in zip(prefixes, theirs, strict=True):
            ours = ours | {prefix + name: values for name, values in fields.items()}
        return ours

    zipped = tf.data.Dataset.zip(*(one.repeat() for one in datasets.values()))
    return zipped.map(together).take(longest)


def parts_of(batch: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Returns a batch's own fields, and name -> those that `joint_examples` marked for a term."""
    own, marked = {}, {}
    for name, values in batch.items():
        term, mark, field = name.partition(_MARK)
        if mark:
            marked.setdefault(term, {})[field] = values
        else:
            own[name] = values
    return own, marked
