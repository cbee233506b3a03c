"""Compares the reports of several models in one table."""

from collections.abc import Sequence

from rich.table import Table

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.report import Report, few_users, format_value


def check_reports(reports: Sequence[Report], what: str) -> list[Report]:
    """Checks that all reports are of the same users and cut-offs, and returns them as a list.

    Raises:
      InputError: no report, or reports that cannot be compared.
    """
    reports = list(reports)
    if not reports:
        raise InputError(f"{what}: at least one report is required. Received: none")
    first = reports[0]
    for report in reports[1:]:
        same = report.counts["total"] == first.counts["total"] and report.split == first.split
        if report.k != first.k or not same:
            raise InputError(
                f"{what}: reports must come from the same split and k. Received: {first.name!r} "
                f"with k={first.k}, {first.counts['total']}, {first.split}; {report.name!r} with "
                f"k={report.k}, {report.counts['total']}, {report.split}"
            )
    return reports


def compare(reports: Sequence[Report]) -> Table:
    """Returns a table with one row per model, in the given order; the best values are bold.

    NDCG, HR and MRR are at the smallest cut-off, Recall at the largest; the columns of slices are
    NDCG. Slices that no report has, or that hold no users, are left out.

    Args:
      reports: of models evaluated on the same split at the same cut-offs.

    Returns:
      A rich table; `print(render(compare(reports)))` prints it as plain text.

    Raises:
      InputError: no report, or reports that cannot be compared.

    Example:
      >>> compare([tff.evaluation.evaluate(model, split)]).row_count
      1
    """
    reports = check_reports(reports, "compare")
    low, high = reports[0].k[0], reports[0].k[-1]
    columns = [
        ("total", f"ndcg@{low}", f"NDCG@{low}"),
        ("total", f"recall@{high}", f"Recall@{high}"),
        ("total", f"hr@{low}", f"HR@{low}"),
        ("total", f"mrr@{low}", f"MRR@{low}"),
        *((label, f"ndcg@{low}", f"{label} NDCG@{low}") for label in ("warm", "cold", "tail")),
        ("total", f"coverage@{low}", f"coverage@{low}"),
    ]
    columns = [
        column
        for column in columns
        if any(r.counts.get(column[0], {}).get("users") for r in reports)
    ]
    counts = reports[0].counts["total"]
    table = Table(
        title=f"{reports[0].split} split, {counts['users']:,} users, {counts['targets']:,} targets",
        caption=few_users(counts["users"]),
        caption_justify="left",
    )
    table.add_column("model")
    for *_, heading in columns:
        table.add_column(heading, justify="right")
    rows = [[r.metrics.get(s, {}).get(metric) for s, metric, _ in columns] for r in reports]
    best = [
        max((v for v in column if v is not None), default=None)
        for column in zip(*rows, strict=True)
    ]
    for report, row in zip(reports, rows, strict=True):
        cells = [
            f"[bold]{format_value(metric, value)}[/bold]"
            if value == top
            else format_value(metric, value)
            for (_, metric, _), value, top in zip(columns, row, best, strict=True)
        ]
        table.add_row(report.name, *cells)
    return table
