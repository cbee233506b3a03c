"""Examples with the logits of a teacher, from which a smaller ranker learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples.made_from import check_made_from

TEACHER = "teacher"


def distillation_examples(
    batches: tf.data.Dataset, teacher: Callable[[Mapping[str, tf.Tensor]], Any]
) -> tf.data.Dataset:
    """Returns the batches of `ranking_examples` with a teacher's logits of their items.

    Each batch gets a field `teacher`, float32 in the shape of `item`, which a `Ranker` with
    `distillation` above 0 learns beside the labels. The teacher scores a batch while the student
    trains on the one before. It sees the batch as it is: features of past events or of a context
    that it reads must be in it, and trends and histories are as of the same cut as the student's.

    The teacher should be trained on the same events, or on more; what it says of items without a
    label, as of sampled negatives, is what a student gains.

    Args:
      batches: of `ranking_examples`, with the `context_side` and `event_side` of the teacher.
      teacher: gives the logits of a batch, in the shape of its `item`: a `Ranker` that ranks by a
        binary head of the events' `label`, a `RankerEnsemble`, or a function; it is called with
        tensors, and not traced into a graph.

    Raises:
      InputError: `batches` are no dataset of batches with items, or have a teacher already; the
        teacher cannot be called, is of another catalogue or another label, or what it says of the
        first batch is of another shape or not finite. Later batches raise it inside TensorFlow's
        own error.

    Example:
      >>> teacher = tff.models.Ranker(split.train, dim=32)  # train it
      >>> batches = distillation_examples(tff.examples.ranking_examples(split.train), teacher)
      >>> student = tff.models.Ranker(split.train, dim=8, hidden=[16], distillation=2.0)
      >>> student.compile("adam")
      >>> history = student.fit(batches, verbose=0)
    """
    fields = getattr(batches, "element_spec", None)
    if not isinstance(fields, dict) or "item" not in fields or TEACHER in fields:
        received = sorted(fields) if isinstance(fields, dict) else type(batches).__name__
        raise InputError(
            "distillation_examples: batches must be a dataset of ranking_examples(events), without "
            f"a teacher. Received: {received}"
        )
    if not callable(teacher):
        raise InputError(
            "distillation_examples: teacher must give the logits of a batch: a Ranker, a "
            f"RankerEnsemble or a function. Received: {type(teacher).__name__}"
        )
    score = teacher
    if hasattr(teacher, "spec"):  # a model, whose call is worth a graph
        gives_logits = getattr(teacher, "score_is_logit", True)
        if not gives_logits or getattr(teacher, "ranks_catalogue", False):
            raise InputError(
                "distillation_examples: teacher must rank by the logit of the events' `label`, as "
                "a Ranker does without heads, or by a binary head of it. "
                f"Received: {teacher.name!r}, a {type(teacher).__name__}"
            )
        check_made_from("distillation_examples: teacher", batches, teacher)
        score = tf.function(teacher, reduce_retracing=True)
    names = list(fields)

    def logits(*values):
        batch = dict(zip(names, values, strict=True))
        return _checked_logits(score(batch), tuple(batch["item"].shape))

    for first in batches.take(1):
        logits(*(first[name] for name in names))

    def taught(batch):
        # Eager, so that the teacher runs where its variables are and may be any function.
        found = tf.py_function(logits, [batch[name] for name in names], tf.float32)
        found.set_shape(fields["item"].shape)
        return {**batch, TEACHER: found}

    return batches.map(taught).prefetch(2)


def _checked_logits(found: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        logits = np.asarray(found, np.float32)
    except (TypeError, ValueError):
        received = type(found).__name__
    else:
        wrong = logits[~np.isfinite(logits)]
        if logits.shape == shape and not wrong.size:
            return logits
        received = logits.shape if logits.shape != shape else f"{wrong.size} that are {wrong[0]}"
    raise InputError(
        f"distillation_examples: the teacher must give a logit of each item, of shape {shape} and "
        f"finite. Received: {received}"
    )
