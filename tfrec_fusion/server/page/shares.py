"""Shares of ids, text and other inputs in the scores of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfrec_fusion.models.explained.shares import explained_inputs, share_output

SIGNATURE = "explain"
_INPUTS = {"user_id", "history", "item_id"}
_ROUNDING = 1e-4  # relative float32 error; larger differences are boosts of rules


def explains(signatures: Mapping) -> bool:
    """Whether a version has a signature `explain`, which splits scores into shares.

    Its inputs, e.g. features of users, must be those of `recommend` and the item ids.

    Args:
      signatures: name -> object with `inputs` and `outputs`.
    """
    found, asked = signatures.get(SIGNATURE), getattr(signatures.get("recommend"), "inputs", ())
    if found is None or not {"score", "bias"} <= {*found.outputs}:
        return False
    return {*found.inputs} >= _INPUTS and {*found.inputs} <= {*asked} | _INPUTS


def explain_inputs(
    asked: Mapping[str, np.ndarray], item_ids: Sequence[str], names: Iterable[str]
) -> dict:
    """Inputs of `explain` for the items recommended to a batch of one user.

    Args:
      asked: the inputs of `recommend`.
      item_ids: the recommended items.
      names: names of the inputs of `explain`.
    """
    items = np.array([[item.encode("utf-8", "surrogatepass") for item in item_ids]], object)
    return {name: items if name == "item_id" else asked[name] for name in names}


def shares(outputs: Mapping[str, np.ndarray], scores: Sequence[float]) -> list[dict[str, float]]:
    """Input -> share for each item, with "bias" (the score without inputs) and "rules" (boosts).

    Args:
      outputs: outputs of `explain` for one user.
      scores: scores of the same items, including boosts of rules.
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
