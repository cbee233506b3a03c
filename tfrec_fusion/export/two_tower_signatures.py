"""What the signatures of an export take and give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

NOTHING = b"\xff"
"""No UTF-8, so neither an id nor a text: a list of it alone lets nothing come back."""

_USER = "string [B]: user ids; an unknown id is a user of whom nothing is known"
_HISTORY = 'string [B, H]: item ids, the latest last, "" pads; all "" takes the baked history'
_INCLUDE = (
    'string [B, C]: only these item ids may come back, "" pads; all "" restricts nothing, all '
    "unknown leaves nothing"
)
_EXCLUDE_SEEN = (
    "bool [B]: True also excludes the baked history where the request brings its own history"
)
_RANKED = {
    "item_id": 'string [B, k]: best first, "" where no item is left',
    "score": "float32 [B, k]: the lowest finite float32 where no item is left",
}

SIGNATURES = {
    "serving_default": {
        "does": "the 100 best items for each user (all where they are fewer), by baked history",
        "inputs": {"user_id": _USER},
        "outputs": {name: text.replace("k]", "100]") for name, text in _RANKED.items()},
    },
    "recommend": {
        "does": "the k best items for each user",
        "inputs": {
            "user_id": _USER,
            "history": _HISTORY,
            "exclude": 'string [B, E]: item ids that must not come back, "" pads',
            "include": _INCLUDE,
            "exclude_seen": _EXCLUDE_SEEN,
            "k": "int32 [B]: how many; the largest of the request rules, below 0 counts as 0 and "
            "above the number of items as that",
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
    "Scores of recommend and serving_default hold the boosts of the rules; those of the others "
    "know of no rules.",
    "What is blocked, excluded, seen, not in include or stopped by a filter never comes back. Pins "
    "stand at their positions, of what is left the best come in order, and caps hold for the whole "
    "answer, towards which all pins count first, those beyond k too.",
    "An unknown item scores as a new item of which nothing is known, and is never recommended. "
    "Unknown and repeated ids in history and exclude change nothing.",
    "Equal scores keep the order of the catalogue.",
)
"""The rules that hold for all of them."""


_SHARE = "share_"


def share_output(name: str) -> str:
    """The output with the share of an input of the model."""
    return _SHARE + name


def explained_inputs(outputs: Iterable[str]) -> list[str]:
    """The inputs of the model with a share among the outputs: ids, vectors by name, context."""
    names = [name.removeprefix(_SHARE) for name in outputs if name.startswith(_SHARE)]
    return sorted(names, key=lambda name: (name == "context", name != "id", name))


def explain_signature(inputs: Sequence[str]) -> dict[str, dict]:
    """The signature of an export with `explain=True`, as those of `SIGNATURES`.

    Args:
      inputs: of the model, which have a share in its scores: `HiddenInputs.inputs`.
    """
    meanings = {
        "id": "item ids, item biases and, where the model reads them, user ids",
        "context": "recency, trend and numbers of the item, size and recency of the history",
    }
    shares = {
        share_output(name): f"float32 [B, N]: {meanings.get(name, f'the vectors {name!r}')}"
        for name in inputs
    }
    return {
        "explain": {
            "does": "the shares of the model's inputs in scores, which they add up to",
            "inputs": {
                "user_id": _USER,
                "history": _HISTORY,
                "item_id": "string [B, N]: item ids",
            },
            "outputs": {
                "score": "float32 [B, N]: as the signature score gives it, from the history in use",
                **shares,
                "bias": "float32 [B, N]: the score where the model is shown nothing",
            },
        }
    }


def two_tower_signatures(filters: Mapping[str, str]) -> dict[str, dict]:
    """`SIGNATURES` with an export's own filters.

    Args:
      filters: input name -> dtype, shape and meaning.
    """
    recommend = SIGNATURES["recommend"]
    inputs = {**recommend["inputs"], **filters}
    return {**SIGNATURES, "recommend": {**recommend, "inputs": inputs}}
