"""What the signatures of an export take and give."""

from __future__ import annotations

_USER = "string [B]: user ids; an unknown id is a user of whom nothing is known"
_HISTORY = 'string [B, H]: item ids, the latest last, "" pads; all "" takes the baked history'
_RANKED = {
    "item_id": 'string [B, k]: best first, "" where no item is left',
    "score": "float32 [B, k]: the lowest finite float32 where no item is left",
}

SIGNATURES = {
    "serving_default": {
        "does": "the 100 best items for each user, from the baked history",
        "inputs": {"user_id": _USER},
        "outputs": {name: text.replace("k]", "100]") for name, text in _RANKED.items()},
    },
    "recommend": {
        "does": "the k best items for each user",
        "inputs": {
            "user_id": _USER,
            "history": _HISTORY,
            "exclude": 'string [B, E]: item ids that must not come back, "" pads',
            "k": "int32 [B]: how many; the largest of the batch rules, a negative one counts as 0",
        },
        "outputs": _RANKED,
    },
    "score": {
        "does": "the score of each user with each of some items, nothing left out",
        "inputs": {"user_id": _USER, "item_id": "string [B, N]: item ids"},
        "outputs": {"score": "float32 [B, N]"},
    },
    "user_vector": {
        "does": "the user side of the score, which is its dot product with an item vector",
        "inputs": {"user_id": _USER, "history": _HISTORY},
        "outputs": {"vector": "float32 [B, D]"},
    },
    "item_vector": {
        "does": "the item side of the score",
        "inputs": {"item_id": "string [B]: item ids"},
        "outputs": {"vector": "float32 [B, D]"},
    },
}
"""Signature -> what it does, its inputs and its outputs: dtype, shape and meaning of each."""

SEMANTICS = (
    "Scores are the model's as of the export: item trends and the ages of baked histories stand "
    "still until the next one.",
    "A history in the request takes the place of the baked one; its items count as bought now.",
    "Items of the history in use and excluded items never come back, even when fewer than k are "
    "left. A score of an item of the user's own history means nothing: training masks it.",
    "A user who is unknown and comes without a history gets the list that is popular as of the "
    "export.",
    "An unknown item scores as a new item of which nothing is known, and is never recommended. "
    "Unknown and repeated ids in history and exclude change nothing.",
    "Equal scores keep the order of the catalogue.",
)
"""The rules that hold for all of them."""
