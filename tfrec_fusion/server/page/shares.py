"""The shares of ids, text and the rest in the scores of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfrec_fusion.models.explained.shares import explained_inputs, share_output

SIGNATURE = "explain"
_INPUTS = {"user_id", "history", "item_id"}
_ROUNDING = 1e-4  # of sums in float32, below which no rule has changed a score


def explains(signatures: Mapping) -> bool:
    """Whether a version says what its scores are made of.

    Args:
      signatures: name -> its `inputs` and `outputs`.
    """
    found = signatures.get(SIGNATURE)
    return (
        found is not None and set(found.inputs) == _INPUTS and {"score", "bias"} <= {*found.outputs}
    )


def explain_inputs(asked: Mapping[str, np.ndarray], item_ids: Sequence[str]) -> dict:
    """The inputs of `explain` for the items that came back to a batch of one user."""
    items = np.array([[item.encode("utf-8", "surrogatepass") for item in item_ids]], object)
    return {"user_id": asked["user_id"], "history": asked["history"], "item_id": items}


def shares(outputs: Mapping[str, np.ndarray], scores: Sequence[float]) -> list[dict[str, float]]:
    """Input -> its share, for each item; "bias" is what is left without them, "rules" the boosts.

    Args:
      outputs: of `explain`, of one user.
      scores: of the same items, with the boosts of the rules.
    """
    columns = {name: outputs[share_output(name)][0] for name in explained_inputs(outputs)}
    columns["bias"] = outputs["bias"][0]
    found = []
    for place, score in enumerate(scores):
        item = {name: float(values[place]) for name, values in columns.items()}
        boost = score - float(outputs["score"][0, place])
        if abs(boost) > _ROUNDING * max(1.0, abs(score)):
            item["rules"] = boost
        found.append(item)
    return found
