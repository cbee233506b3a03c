"""The model card of a version."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from platform import python_version

import numpy as np

from tfrec_fusion import __version__
from tfrec_fusion._compat import tf
from tfrec_fusion.data import Interactions
from tfrec_fusion.errors import InputError

CARD = "model_card.json"
_EXAMPLES = 5


def model_card(
    model,
    events: Interactions,
    now: float | None,
    metrics: Mapping | None,
    config: Mapping | None,
    business: Mapping | None = None,
) -> str:
    """The card as JSON text: model, data, vectors, metrics and package versions of an export.

    Args:
      model: a `tfrec_fusion.models.Model`.
      events: the events whose histories and trends the version holds.
      now: unix time in seconds of histories and trends, or None without timestamps.
      metrics: nested numbers and texts, e.g. of an evaluation.
      config: config of the run that trained the model.
      business: filters and rules, if the model can have them.

    Raises:
      InputError: `metrics` or `config` holds a value that JSON cannot represent.
    """
    card = {
        "format": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": type(model).__name__,
        "model_config": model.config.model_dump(mode="json"),
        "run_config": _plain(config, "config"),
        "metrics": _plain(metrics, "metrics"),
        "data_spec": model.spec.model_dump(mode="json"),
        "data": {
            "events": len(events),
            "users": len(events.users),
            "items": len(events.catalogue),
            "sha256": events.fingerprint(),
            "as_of": None if now is None else _utc(now),
        },
        "vectors": {
            name: {
                "sha256": _hash(values, mask),
                "dim": values.shape[1],
                "items": int(np.count_nonzero(mask)),
            }
            for name, (values, mask) in model.vector_tables().items()
        },
        "packages": {
            "python": python_version(),
            "tfrec-fusion": __version__,
            "tensorflow": tf.__version__,
            "tf-keras": metadata.version("tf-keras"),
            "tensorflow-recommenders": metadata.version("tensorflow-recommenders"),
            "numpy": np.__version__,
        },
        "example_users": example_users(events),
        **(business or {}),
    }
    return _text(card)


def with_entries(card: str, entries: Mapping) -> str:
    """The card's text with `entries` added."""
    return _text(json.loads(card) | dict(entries))


def _text(card: Mapping) -> str:
    return json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def example_users(events: Interactions) -> list[str]:
    """Up to five user ids spread over the vocabulary, with at least three items each if any."""
    lengths = events.histories().lengths
    rows = np.flatnonzero(lengths >= 3)
    if len(rows) == 0:
        rows = np.flatnonzero(lengths)
    chosen = np.unique(np.linspace(0, len(rows) - 1, _EXAMPLES).astype(int)) if len(rows) else []
    return [str(events.users.ids[rows[position]]) for position in chosen]


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _hash(values: np.ndarray, mask: np.ndarray) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(values).data)
    digest.update(np.ascontiguousarray(mask).data)
    return digest.hexdigest()


def _plain(value, path: str):
    """`value` in JSON's types; NaN and infinity, which JSON lacks, become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(
        f"export: {path} must hold numbers, texts, lists and dicts. Received: {value!r}"
    )
