"""`tfrec-fusion evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow


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
    json: Json = None,
) -> None:
    """Evaluate a run: rank the whole catalogue for its test users."""
    output = Output(json)
    start_tensorflow()
    from tfrec_fusion.evaluation import RankingReport, compare
    from tfrec_fusion.evaluation.ranking_report import ranking_table
    from tfrec_fusion.training import Run

    trained = Run.open(run)
    report = trained.evaluate(history=history, mask_history=mask_history)
    output.print(report)
    result = {"run": str(run), "evaluation": report.to_dict()}
    if baselines:
        reports = [report, *trained.evaluate_baselines(mask_history)]
        of_ranker = isinstance(report, RankingReport)
        table = ranking_table(reports) if of_ranker else compare(reports)
        table.caption = None  # already printed with the report
        output.print(table)
        result["baselines"] = [other.to_dict() for other in reports[1:]]
    output.write(result)
