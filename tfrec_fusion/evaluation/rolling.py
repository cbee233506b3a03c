"""Evaluation at several origins in time."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from tfrec_fusion.config import read_json
from tfrec_fusion.data import Interactions
from tfrec_fusion.data.given import require_interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.origin_result import OriginResult
from tfrec_fusion.evaluation.protocol import check_users, checked_cuts, evaluate
from tfrec_fusion.evaluation.rolling_report import RollingReport
from tfrec_fusion.evaluation.window import Window
from tfrec_fusion.files import new_file
from tfrec_fusion.paths import local_path
from tfrec_fusion.progress import WorkProgress

_SETTINGS = "settings.json"


def rolling_origins(
    fit: Callable[[Interactions], Any] | Mapping[str, Callable[[Interactions], Any]],
    events: Interactions,
    *,
    origins: int = 6,
    test: float = 0.3,
    window_days: float | None = None,
    reference: str | None = None,
    k: Iterable[int] = (10, 20),
    history: int | None = None,
    mask_history: bool | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    users: int | None = 50_000,
    folder: str | os.PathLike | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Console | bool | None = None,
) -> RollingReport:
    """Trains models until each of several origins and evaluates them on the window after it.

    One temporal split tests one season and few cold items. Here the origins are spread over the
    last `test` of the events, and each window is evaluated as by `evaluate`: by default the windows
    tile that period, so every event in it is a target once. A model sees the events before the
    origin alone; items without one are cold. All models are evaluated on the same users, and are
    compared by a paired bootstrap over users, each drawn with all its windows.

    Source: rolling-origin evaluation, Tashman (2000); of recommenders, the time-aware splits of
    RecTools and the sliding windows of Scheidt & Beel (2021).

    Args:
      fit: a function that trains a model on training events and returns it, e.g. `EASE().fit`; or
        name -> function for several models.
      events: events with times.
      origins: number of origins.
      test: share of the events in the tested period, in (0, 1).
      window_days: length of a window; None takes the tested period's `origins`-th part. Longer
        windows overlap, and shorter ones leave gaps.
      reference: the model that the others are compared with; None takes the first.
      k, history, mask_history: see `evaluate`.
      bootstrap: resamples of the users for the 95 % intervals; 0 for none.
      seed: of the resamples and the samples of users. Training has its own: seed it in `fit`.
      users: most users to evaluate at an origin, of more a random sample; None for all.
      folder: keeps each finished evaluation there, so that the same call goes on after a kill.
        Models are known by their names: take another folder for a changed model.
      settings: further settings that the results in `folder` belong to, e.g. the models' options,
        as JSON: a call with others is refused.
      progress: a rich console for the progress; None is standard error, False no output.

    Returns:
      The report of each origin, and all pooled: means over the origins, and for the slice "cold"
      over the users of all origins, since a window has few cold items.

    Raises:
      InputError: a bad argument, no times, an origin without training events or a window without
        evaluated users, or a folder of other events or settings.

    Example:
      >>> from tfrec_fusion.models.classic import ItemKNN, RecentPopularity
      >>> models = {"recent": RecentPopularity().fit, "item-kNN": ItemKNN().fit}
      >>> report = rolling_origins(models, events, origins=2, bootstrap=100, progress=False)
      >>> "ndcg@10" in report.differences["item-kNN"]["total"]
      True
    """
    models = _checked(fit)
    if not hasattr(events, "counted_events"):
        require_interactions(events, "rolling_origins")
    if isinstance(fit, Mapping) and reference is not None and reference not in models:
        raise InputError(
            f"rolling origins: reference must be one of {list(models)}. Received: {reference!r}"
        )
    cuts = checked_cuts(k, bootstrap, history)
    check_users(users)
    windows = Window.rolling(events, origins, test=test, window_days=window_days)
    for window in windows:
        window.split(events)  # finds an empty window before anything is trained
    kept = None if folder is None else local_path(folder, "rolling origins")
    if kept is not None:
        described = {
            "windows": [[window.start, window.end] for window in windows],
            "k": list(cuts),
            "history": None if history is None else int(history),
            "mask_history": mask_history,
            "bootstrap": bootstrap,
            "seed": seed,
            "users": None if users is None else int(users),
            "events": _digest(events),
            "settings": json.loads(json.dumps(dict(settings or {}))),
        }
        _check_folder(kept, described)

    def path_of(place: int, name: str) -> Path | None:
        if kept is None:
            return None
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        return kept / f"origin-{place + 1}" / f"{digest}.npz"

    places = [(place, name) for place in range(len(windows)) for name in models]
    paths = {key: path_of(*key) for key in places}
    done = {key for key, path in paths.items() if path is not None and path.is_file()}
    found: list[dict[str, OriginResult]] = [{} for _ in windows]
    with WorkProgress("evaluated", len(places) - len(done), "models", console=progress) as shown:
        for place, window in enumerate(windows):
            split = None
            for name, train in models.items():
                path = paths[place, name]
                if path is not None and (place, name) in done:
                    found[place][name] = OriginResult.read(path)
                    continue
                split = window.split(events) if split is None else split
                started = time.perf_counter()
                model = train(split.train)
                seconds = time.perf_counter() - started
                report = evaluate(
                    model,
                    split,
                    k=cuts,
                    history=history,
                    mask_history=mask_history,
                    bootstrap=bootstrap,
                    seed=seed,
                    name=name if isinstance(fit, Mapping) else None,
                    users=users,
                    progress=False,
                )
                result = OriginResult.of(report, split, seconds)
                if path is not None:
                    result.save(path)
                found[place][name] = result
                shown.advance(state=f"{report.name}, origin {place + 1}/{len(windows)}")
    named = [{result.report.name: result for result in origin.values()} for origin in found]
    return RollingReport.of(windows, named, reference=reference, bootstrap=bootstrap, seed=seed)


def _checked(fit) -> dict[str, Callable]:
    """Name -> function that trains a model."""
    models = dict(fit) if isinstance(fit, Mapping) else {"model": fit}
    wrong = [value for value in models.values() if not callable(value)]
    if wrong or not models or not all(isinstance(name, str) and name for name in models):
        received = type(wrong[0]).__name__ if wrong else list(models)
        raise InputError(
            "rolling origins: fit must be a function train -> fitted model, e.g. EASE().fit, or a "
            f"mapping of names to such functions. Received: {received}"
        )
    return models


def _check_folder(folder: Path, described: dict) -> None:
    """Writes the settings of the results in the folder, or checks that they are these."""
    there = folder / _SETTINGS
    if there.is_file():
        old = read_json(there, "rolling origins")
        for key in described:
            if old.get(key) != described[key]:
                raise InputError(
                    f"rolling origins: {folder} holds results of other {key}; pass another folder, "
                    f"or remove it. Received: {str(described[key])[:200]}, there: "
                    f"{str(old.get(key))[:200]}"
                )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.glob("[!.]*"))):
        raise InputError(
            f"rolling origins: the folder is not empty and holds no results of origins; pass a "
            f"new or empty folder. Received: {folder}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with new_file(there) as file:
        file.write(json.dumps(described, indent=2).encode())


def _digest(events: Interactions) -> str:
    counted = events.counted_events(impressions=True)
    digest = hashlib.sha256(f"{counted.fingerprint()} {events.repeats}".encode())
    for values in (counted.weight, counted.label):
        if values is not None:
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
