"""What the signatures of a ranker's export take and give."""

from __future__ import annotations

from tfrec_fusion.features.ranker_spec import RankerSpec

_USER = "string [B]: user ids; an unknown id is a user of whom nothing is known"
_ITEMS = "string [B, N]: item ids; an unknown id is a new item of which nothing is known"
_HISTORY = 'string [B, H]: item ids, the latest last, "" pads; all "" takes the baked history'
_SCORES = {
    "score": "float32 [B, N]: the logit",
    "probability": "float32 [B, N]: the probability that the user takes the item",
}
_EXAMPLES = "string [B]: serialized tf.Example, one user and one item each; see features"


def ranker_signatures(spec: RankerSpec) -> dict[str, dict]:
    """Signature -> what it does, its inputs and its outputs; context columns are inputs.

    Args:
      spec: of the model, with the context's columns.
    """
    context = {name: "float32 [B]: NaN where it is not known" for name in spec.context_numbers}
    context |= {
        name: 'string [B]: "" or any other unknown value where it is not known'
        for name in spec.context_categories
    }
    features = {
        "user_id": 'string []: "" unless given',
        "item_id": "string []",
        "history": "string [H]: the baked history unless given",
        **{name: "float []: not known unless given" for name in spec.context_numbers},
        **{name: "string []: not known unless given" for name in spec.context_categories},
    }
    examples = {"inputs": {"inputs": _EXAMPLES}, "features": features}
    return {
        "serving_default": {
            "does": "the score of each user with each of some items, from the baked history",
            "inputs": {"user_id": _USER, "item_id": _ITEMS, **context},
            "outputs": _SCORES,
        },
        "score": {
            "does": "the score of each user with each of some items",
            "inputs": {"user_id": _USER, "item_id": _ITEMS, "history": _HISTORY, **context},
            "outputs": _SCORES,
        },
        "classify": {
            "does": "the probabilities that the user passes (class 0) or takes (class 1) the item",
            **examples,
            "outputs": {
                "classes": 'string [B, 2]: "0" and "1"',
                "scores": "float32 [B, 2]: their probabilities",
            },
        },
        "regress": {
            "does": "the probability that the user takes the item",
            **examples,
            "outputs": {"outputs": "float32 [B]"},
        },
    }


RANKER_SEMANTICS = (
    "Scores are the model's as of the export: item trends and the ages of baked histories stand "
    "still until the next one.",
    "A history in the request takes the place of the baked one; its items count as bought now. "
    "Unknown and repeated ids in it change nothing.",
    "A score of an item of the user's own history means nothing where the model never saw one "
    "taken twice.",
)
"""The rules that hold for all of them."""
