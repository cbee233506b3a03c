"""What a version takes over from the one before it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from tfrec_fusion.config import read_json
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.export.versions import versions

# What an option is where neither the call nor the version before says.
_NOTHING: dict[str, Any] = {
    "filters": (),
    "rules": None,
    "rerank": (),
    "explain": False,
    "precision": "float32",
}
NONE_OF_THEM = "filters=(), rules={}, rerank=(), explain=False or precision='float32'"
_log = logging.getLogger(__name__)


def latest_card(path: str | os.PathLike) -> dict:
    """The card of the latest version, empty where there is none."""
    found = versions(path)
    if not found or not (found[max(found)] / CARD).is_file():
        return {}
    return read_json(found[max(found)] / CARD, "export")


def kept_options(
    model, path: str | os.PathLike, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The options of an export, where None is as in the latest version, and which are from there.

    A version of another kind of model passes on its precision alone, and a log line says what of it
    is left out.

    Args:
      model: what is exported.
      path: folder of the versions.
      given: "filters", "rules", "rerank", "explain" and "precision", or None for each.

    Raises:
      InputError: the latest version has rerankers that were given as objects.
    """
    card = latest_card(path)
    names = ("filters", "rules", "rerank", "precision")
    before = {name: card[name] for name in names if card.get(name)}
    if card.get("explain"):
        before["explain"] = True
    kept = [name for name, value in before.items() if given[name] is None]
    kept = [name for name in kept if before[name] != _NOTHING[name]]
    if kept and card.get("model") != type(model).__name__:
        left_out = [name for name in kept if name != "precision"]
        if left_out:
            _log.warning(
                "export: the latest version is of a %s, and its %s are left out",
                card.get("model"),
                " and ".join(left_out),
            )
        kept = [name for name in kept if name == "precision"]
    if kept:
        _log.warning(
            "export: %s as in version %d; pass %s for none, on the command line --no-keep",
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
            "export: the latest version is reordered by objects, which cannot be made again; pass "
            f"rerank=[...], or rerank=() for none. Received: {objects}"
        )
    options = {
        name: before[name] if name in kept else nothing if given[name] is None else given[name]
        for name, nothing in _NOTHING.items()
    }
    return options, kept
