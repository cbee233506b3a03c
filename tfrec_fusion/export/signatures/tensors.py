"""Inputs and outputs that several signatures share."""

from __future__ import annotations

from collections.abc import Iterable

from tfrec_fusion._compat import tf
from tfrec_fusion.signature import Tensor

USER = Tensor(
    "user_id",
    "string",
    "[B]",
    "user ids; an unknown id is a new user",
    kind="user",
)
HISTORY = Tensor(
    "history",
    "string",
    "[B, H]",
    'item ids, latest last, "" pads; all "" uses the stored history',
    kind="item",
)
HISTORY_AGE = Tensor(
    "history_age",
    "float32",
    "[B, A]",
    "days since each item of history, in the same places; 0 is now, and so is an age that is "
    "missing, negative, NaN or infinite; the oldest item counts as the first",
    kind="age",
)
ITEMS = Tensor("item_id", "string", "[B, N]", "item ids", kind="item")
COUNT = Tensor(
    "k",
    "int32",
    "[B]",
    "list length, the same for all rows: the largest k of the request, at least 0 and at most the "
    "number of items",
    kind="count",
)
ITEM = Tensor("item_id", "string", "[B]", "item ids", kind="item")
QUERY = Tensor("query", "string", "[B]", 'texts to search for; "" is none', kind="query")
QUERY_VECTOR = Tensor(
    "query_vector",
    "float32",
    "[B, D]",
    "vectors of queries, in place of those of their texts; NaN alone is none",
    kind="vector",
)
VECTOR = Tensor("vector", "float32", "[B, D]")


def neutral_inputs(tensors: Iterable[Tensor], batch: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the inputs of `batch` requests that leave all of them out; lists are empty."""
    return {
        tensor.name: tf.fill(
            [batch, *[0] * (len(tensor.sizes) - 1)], tf.constant(tensor.neutral, tensor.dtype)
        )
        for tensor in tensors
    }


def ranked(k: str) -> tuple[Tensor, ...]:
    """The outputs of ranked lists of `k` items."""
    return (
        Tensor("item_id", "string", f"[B, {k}]", 'best first, "" if no item is left'),
        Tensor(
            "score",
            "float32",
            f"[B, {k}]",
            "the lowest finite float32 if no item is left",
        ),
    )
