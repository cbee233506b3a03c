"""The models that `auto` tries, by what the data have."""

from __future__ import annotations

from typing import Any

from tfrec_fusion.data import Interactions

_DENSE_ITEMS = 20_000  # beyond it the dense EASE is slow
_TEXT_DIMS, _TEXT_WEIGHT = 128, 20.0
# Decay by position, weight of transitions, dimensions and weight of the text: validation prefers
# the first on Amazon Beauty, the second on Amazon Industrial and Scientific.
_ORDERS = ((0.5, 0.05, 2 * _TEXT_DIMS, 3 * _TEXT_WEIGHT), (0.8, 0.0, _TEXT_DIMS, _TEXT_WEIGHT))
# Of fewer candidates than by default, as good in a third of the time on Amazon Beauty.
_SEQUENCES = {"kind": "sequence", "candidates": 2048}


def default_candidates(train: Interactions, kind: str) -> dict[str, dict[str, Any]]:
    """Returns name -> keys of a run's config, from the simplest to the most complex model.

    Args:
      train: the training events.
      kind: of the split, see `Split`: only in a temporal one do trends tell something.

    Returns:
      Popularity, item-kNN and EASE, or `sparse_ease` beyond 20,000 items; with vectors, EASE with
      text; for test events after a time, recent popularity and EASE with decay and trend; for a
      user's last event, EASE and a SASRec tower, which read the order of the history; iALS, which
      errs differently and so adds most to a blend; with times, unless the split is random, the two-
      tower on as-of examples; else the spectral model and, unless repeated events count, the two-
      tower that starts from it. A given split has the models of both kinds of test events. Models
      of text are tried with each of the catalogue's vectors, and the as-of two-tower with all of
      them too.

    Example:
      >>> list(default_candidates(split.train, "temporal"))[:2]
      ['popularity', 'recent popularity']
    """
    stores = list(train.catalogue.vectors)
    ease = "ease" if len(train.catalogue) <= _DENSE_ITEMS else "sparse_ease"
    dated = train.timestamp is not None
    timed = dated and kind in ("temporal", "given")
    ordered = (dated or train.position is not None) and kind in ("leave_one_out", "given")
    found: dict[str, dict[str, Any]] = {"popularity": {"kind": "popularity"}}
    if timed:
        found["recent popularity"] = {"kind": "recent_popularity"}
    if train.repeats == "all":
        found["personal frequency"] = {"kind": "personal_frequency"}
    found["item-kNN"] = {"kind": "item_knn"}
    for l2 in (100.0, 400.0):
        found[f"EASE, l2 {l2:.0f}"] = {"kind": ease, "l2": l2}
    texts = {}
    for store in stores:
        texts[store] = _text(train, store, _TEXT_DIMS, _TEXT_WEIGHT)
        for l2 in (100.0, 400.0):
            found[f"EASE, l2 {l2:.0f}, {store}"] = {"kind": ease, "l2": l2, **texts[store]}
    if timed:
        trend = {"event_half_life_days": 360.0, "trend_power": 0.6}
        for text in ({}, *texts.values()):
            of_text = f", {text['vectors']}" if text else ""
            for l2 in (200.0, 800.0):
                name = f"EASE, l2 {l2:.0f}, decay and trend{of_text}"
                found[name] = {"kind": ease, "l2": l2, **trend, **text}
    if ordered:
        for store in (None, *stores):
            of_text = f", {store}" if store else ""
            for decay, weight, dims, text_weight in _ORDERS:
                order = {"step_decay": decay, "transition_weight": weight}
                text = _text(train, store, dims, text_weight) if store else {}
                name = f"EASE, l2 500, order {decay}{of_text}"
                found[name] = {"kind": ease, "l2": 500.0, **order, **text}
    found["iALS"] = {"kind": "ials"}
    sections: dict[str, dict[str, Any]] = {
        name: {"model": section} for name, section in found.items()
    }
    chosen: list[list[str]] = [[store] for store in stores]
    if ordered:
        for vectors in chosen or [[]]:
            model = {"kind": "two_tower", "user": "sasrec", "dim": 128, "vectors": vectors}
            name = ", ".join(["SASRec", *vectors])
            sections[name] = {"model": model, "examples": _SEQUENCES, "epochs": 9}
    if dated and kind != "random":
        chosen += [stores] if len(stores) > 1 else []
        for vectors in chosen or [[]]:
            name = ", ".join(["two-tower", *vectors])
            sections[name] = {"model": {"kind": "two_tower", "vectors": vectors}}
        return sections
    for vectors in chosen or [[]]:
        text = {"vectors": vectors[0]} if vectors else {"text_weight": 0.0}
        sections[", ".join(["spectral", *vectors])] = {"model": {"kind": "spectral", **text}}
    if train.repeats == "all":
        return sections  # as-of examples alone can be of repeated events
    for vectors in chosen or [[]]:
        text = {"vectors": vectors[0]} if vectors else {"text_weight": 0.0}
        name = ", ".join(["two-tower from spectral", *vectors])
        sections[name] = {"model": {"kind": "two_tower"}, "spectral": text}
    return sections


def _text(train: Interactions, store: str, dims: int, weight: float) -> dict[str, Any]:
    width = train.catalogue.vectors[store].values.shape[1]
    return {"vectors": store, "text_weight": weight, "dims": min(width, dims)}
