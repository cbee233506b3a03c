"""`tfrec-fusion evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow
from tfrec_fusion.errors import InputError


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, written by train.")],
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Also evaluate the baselines that suit the data."),
    ] = False,
    history: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Let the model read only each user's last N training items, e.g. 0 to measure new "
            "users.",
        ),
    ] = None,
    mask_history: Annotated[
        bool | None,
        typer.Option(
            "--mask-history/--no-mask-history",
            help="Whether a user's training items are no candidates.  [default: yes, unless "
            "repeated events count]",
            show_default=False,
        ),
    ] = None,
    origins: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Train the run's config until each of N times instead, and evaluate on the period "
            "after it. The same command goes on after a kill.",
        ),
    ] = None,
    test: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="With --origins: share of the events in the tested period.  [default: 0.3]",
        ),
    ] = None,
    window_days: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            help="With --origins: length of each test period.  [default: they tile the tested "
            "period]",
        ),
    ] = None,
    users: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Most users to rank the catalogue for, at each of the --origins, of more a random "
            "sample; 0 for all.  "
            "[default: 50000]",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Evaluate a run: rank the whole catalogue for its test users."""
    output = Output(json)
    for option, value in (("--test", test), ("--window-days", window_days)):
        if value is not None and origins is None:
            raise InputError(f"evaluate: {option} needs --origins. Received: {value:g}")
    most = 50_000 if users is None else users or None
    start_tensorflow()
    if origins is not None:
        from tfrec_fusion.training import Run, evaluate_origins

        rolled = evaluate_origins(
            Run.open(run),
            origins=origins,
            test=0.3 if test is None else test,
            window_days=window_days,
            baselines=baselines,
            history=history,
            mask_history=mask_history,
            users=most,
        )
        output.print(rolled)
        output.write({"run": str(run), "origins": rolled.to_dict()})
        return
    from tfrec_fusion.evaluation import RankingReport, compare
    from tfrec_fusion.evaluation.ranking_report import ranking_table
    from tfrec_fusion.training import Run

    trained = Run.open(run)
    report = trained.evaluate(history=history, mask_history=mask_history, users=most)
    output.print(report)
    result = {"run": str(run), "evaluation": report.to_dict()}
    if baselines:
        reports = [report, *trained.evaluate_baselines(mask_history, most)]
        of_ranker = isinstance(report, RankingReport)
        table = ranking_table(reports) if of_ranker else compare(reports)
        table.caption = None  # already printed with the report
        output.print(table)
        result["baselines"] = [other.to_dict() for other in reports[1:]]
    output.write(result)
