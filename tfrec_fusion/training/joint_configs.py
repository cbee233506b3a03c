"""Examples of single terms of the loss in a run's config."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tfrec_fusion._compat import tf
from tfrec_fusion.examples import joint_examples

if TYPE_CHECKING:
    from tfrec_fusion.training.config import RunConfig


def joint_configs(config: RunConfig) -> dict[str, RunConfig]:
    """Returns name of a term -> the config with the term's examples in place of the config's own.

    Raises:
      InputError: the section of a term has an unknown key or a bad value.
    """
    shared = {name: getattr(config, name) for name in ("data", "split", "model", "seed")}
    found = {}
    for name, values in (config.joint or {}).items():
        own = {key: value for key, value in values.items() if key != "batch_size"}
        given = {**shared, "examples": own, "batch_size": values.get("batch_size")}
        found[name] = type(config).of(given, f"joint.{name}")
    return found


def check_joint(config: RunConfig) -> None:
    """Raises ValueError or InputError for examples of no term of the loss, or invalid ones."""
    loss = getattr(config.model, "loss", None)
    terms = list(loss) if isinstance(loss, dict) else []
    for name in config.joint or {}:
        if name not in terms:
            told = f"its terms are {', '.join(terms)}" if terms else "it has one term alone"
            raise ValueError(f"joint: model.loss has no term {name!r}; {told}")
    joint_configs(config)


def joint_batches(
    config: RunConfig, make: Callable[[RunConfig, int], tf.data.Dataset], first_epoch: int
) -> tf.data.Dataset:
    """Returns the batches of `joint_examples` of a resolved config, starting at `first_epoch`.

    Args:
      config: a config with `joint`.
      make: function from a config without `joint` and the first epoch to its batches.
      first_epoch: number of epochs done.
    """
    parts = {"": config.model_copy(update={"joint": None}), **joint_configs(config)}
    made = {name: make(one, 0) for name, one in parts.items()}
    if first_epoch:
        counts = {name: len(batches) for name, batches in made.items()}
        longest = max(counts.values())
        passes = {name: longest // count for name, count in counts.items()}
        made = {name: make(one, first_epoch * passes[name]) for name, one in parts.items()}
    return joint_examples(made.pop(""), **made)
