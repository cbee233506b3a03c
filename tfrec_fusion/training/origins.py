"""Evaluates a run's config at several origins in time."""

from __future__ import annotations

import hashlib
import json
import os

from rich.console import Console

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import RollingReport, default_baselines, rolling_origins
from tfrec_fusion.training.inputs import check_inputs, load_events, record
from tfrec_fusion.training.model_sections import AUTO
from tfrec_fusion.training.recipes import build_model, trained_model
from tfrec_fusion.training.run import Run


def evaluate_origins(
    run: Run,
    *,
    origins: int = 6,
    test: float = 0.3,
    window_days: float | None = None,
    baselines: bool = False,
    history: int | None = None,
    mask_history: bool | None = None,
    users: int | None = 50_000,
    folder: str | os.PathLike | None = None,
    progress: Console | bool | None = None,
) -> RollingReport:
    """Trains a run's config until each of several origins and evaluates on the window after it.

    Every origin trains a new model on the events before it, with the seed and the settings that
    the run resolved; the run's own split and weights play no part. See `rolling_origins`.

    Args:
      run: of a model that ranks the whole catalogue; it need not be trained.
      origins, test, window_days, history, mask_history, users, progress: see `rolling_origins`.
      baselines: also evaluate the baselines that suit the data, compared with the run's model; one
        that equals it is left out.
      folder: keeps finished evaluations, so that the same call goes on after a kill; None is a
        folder in the run's `origins`, one for each choice of the other arguments.

    Raises:
      InputError: a ranker or `auto`, a run that started from another one, which may have seen the
        tested events, a changed input, or as `rolling_origins`.

    Example:
      >>> data = tff.training.RunConfig.load("shop.yaml").data.model_dump()
      >>> config = tff.training.RunConfig.of({"data": data, "model": {"kind": "item_knn"}})
      >>> run = Run.start("runs/knn", config)
      >>> len(evaluate_origins(run, origins=2, progress=False).windows)
      2
    """
    config = run.config
    if config.model.kind in ("ranker", AUTO):
        raise InputError(
            "run: origins are for one model that ranks the whole catalogue; evaluate this run "
            f"without. Received: model.kind {config.model.kind!r}"
        )
    if config.from_run is not None:
        raise InputError(
            "run: its weights began with those of another run, which may have seen the tested "
            f"events; evaluate a run without from_run at origins. Received: {config.from_run}"
        )
    check_inputs(config.recorded, record(config.data))
    events = load_events(config.data)
    settings = {
        "config": config.model_dump(mode="json", exclude={"recorded", "evaluate_every", "rerank"}),
        "inputs": config.recorded.inputs,
    }
    models = {config.model.kind: lambda train: trained_model(config, train)}
    if baselines:
        own = None if config.by_gradient else build_model(config, events)
        for baseline in default_baselines(events, without=own):
            if baseline.name not in models:
                models[baseline.name] = baseline.fit
    if folder is None:
        chosen = [origins, test, window_days, history, mask_history, users, settings]
        digest = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode())
        folder = run.origins / digest.hexdigest()[:12]
    return rolling_origins(
        models,
        events,
        origins=origins,
        test=test,
        window_days=window_days,
        history=history,
        mask_history=mask_history,
        users=users,
        folder=folder,
        settings=settings,
        progress=progress,
    )
