"""The export options that a version takes over from the one before it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from tfrec_fusion.config import read_json
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.export.versions import versions

# Defaults where neither the call nor the version before sets an option.
_NOTHING: dict[str, Any] = {
    "filters": (),
    "rules": None,
    "rerank": (),
    "explain": False,
    "similar": "auto",
    "audience": False,
    "search": False,
    "precision": "float32",
}
NONE_OF_THEM = (
    "filters=(), rules={}, rerank=(), explain=False, similar='auto', audience=False, search=False "
    "or precision='float32'"
)
_log = logging.getLogger(__name__)


def latest_card(path: str | os.PathLike) -> dict:
    """The model card of the latest version, empty if there is none."""
    found = versions(path)
    if not found or not (found[max(found)] / CARD).is_file():
        return {}
    return read_json(found[max(found)] / CARD, "export")


def kept_options(
    model, path: str | os.PathLike, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Fills in an export's options that are None from the latest version.

    If that version is of another model class, only its precision is taken over, and a log line
    names the options that are not.

    Args:
      model: the model to export.
      path: folder of the versions.
      given: each option of `NONE_OF_THEM` -> value or None.

    Returns:
      All options, and the names of those taken from the latest version.

    Raises:
      InputError: the latest version has rerankers that were given as objects.
    """
    card = latest_card(path)
    names = ("filters", "rules", "rerank", "similar", "search", "precision")
    before = {name: card[name] for name in names if card.get(name)}
    before |= {name: True for name in ("explain", "audience") if card.get(name) is not None}
    kept = [name for name, value in before.items() if given[name] is None]
    kept = [name for name in kept if before[name] != _NOTHING[name]]
    if kept and card.get("model") != type(model).__name__:
        left_out = [name for name in kept if name != "precision"]
        if left_out:
            _log.warning(
                "export: the latest version is of a %s; its %s are not taken over",
                card.get("model"),
                " and ".join(left_out),
            )
        kept = [name for name in kept if name == "precision"]
    if "explain" in kept and not model.explains:
        _log.warning(
            "export: explain of the latest version is not taken over, as the scores of this model "
            "are not split into shares"
        )
        kept.remove("explain")
    if kept:
        _log.warning(
            "export: %s taken over from version %d; pass %s for none (command line: --no-keep)",
            ", ".join(kept),
            max(versions(path)),
            NONE_OF_THEM,
        )
    objects = [
        one["object"]
        for one in before.get("rerank", ())
        if isinstance(one, Mapping) and "kind" not in one
    ]
    if "rerank" in kept and objects:
        raise InputError(
            "export: the latest version has rerankers that were given as objects, which cannot be "
            f"rebuilt; pass rerank=[...], or rerank=() for none. Received: {objects}"
        )
    options = {
        name: before[name] if name in kept else nothing if given[name] is None else given[name]
        for name, nothing in _NOTHING.items()
    }
    return options, kept
