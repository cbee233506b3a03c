"""`tfrec-fusion quickstart`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tfrec_fusion.cli._export import served_events
from tfrec_fusion.cli._movielens import movielens
from tfrec_fusion.cli._output import Json, Output
from tfrec_fusion.cli._quiet import start_tensorflow
from tfrec_fusion.cli._reading import Columns, ItemColumns, Lists, TimestampUnit, reading
from tfrec_fusion.cli._recommend import recommendations
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

# name -> options of the model
_MODELS: dict[str, dict[str, Any]] = {
    "fused": {},
    "ID-only": {"vectors": []},
    "text-only": {"use_ids": False},
}


def quickstart(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the runs, logs and the export.")
    ] = Path("runs/quickstart"),
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|movielens",
            help="A folder with interactions.parquet, items.parquet and vectors (a .npy in the "
            "order of the items, or a store), or movielens to download MovieLens.  [default: the "
            "shipped sample]",
        ),
    ] = None,
    min_rating: Annotated[
        float | None, typer.Option(help="Drop interactions with a lower rating.")
    ] = None,
    stray_times: Annotated[
        Literal["error", "drop", "keep"],
        typer.Option(
            help="How to treat events with times after today, at 0, or far from all others."
        ),
    ] = "error",
    columns: Columns = None,
    item_columns: ItemColumns = None,
    lists: Lists = None,
    timestamp_unit: TimestampUnit = None,
    train_only: Annotated[
        bool,
        typer.Option(
            "--train-only", help="Serve only the training events, without the test events."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of initial weights, examples and dropout.")] = 0,
    json: Json = None,
) -> None:
    """Train, compare with baselines, export and recommend, on the shipped sample or your data."""
    output = Output(json)
    local_path(out, "out", tensorflow=True)
    start_tensorflow()
    from tfrec_fusion.evaluation import compare
    from tfrec_fusion.export import Recommender, export
    from tfrec_fusion.training import ProgressBar, Run, RunConfig

    how = reading(columns, item_columns, lists, timestamp_unit) | {"stray_times": stray_times}
    section = _data(data, min_rating, how, output)
    # The sample's titles are generated from what drives its purchases, so training a fusion of
    # their vectors pays off.
    models = _MODELS if data is not None else {**_MODELS, "fused": {"fusion": "sum"}}
    if not section["vectors"]:
        output.print("the folder has no vectors, so only ids are trained")
        models = {"ID-only": _MODELS["ID-only"]}
    names = _columns(section)
    kind = "leave_one_out" if "position" in names else "random"
    kind = "temporal" if "timestamp" in names else kind
    output.print(f"split: {kind}")

    runs, reports = {}, []
    for name, options in models.items():
        values = {"data": section, "split": {"kind": kind}, "model": options, "seed": seed}
        if kind != "temporal" and name == "ID-only":
            # The start of the fused model without text, so that the two differ in text alone.
            values["spectral"] = {"text_weight": 0.0}
        config = RunConfig.of(values, "quickstart")
        run = runs[name] = Run.start(out / "runs" / name.lower(), config)
        run.train([ProgressBar(output.console, f"{name}, epoch")])
        reports.append(run.evaluate(name))
    first = next(iter(runs))
    trained = runs[first]
    with output.console.status("baselines"):
        reports += trained.evaluate_baselines()
    model = trained.model()
    version = export(
        model,
        served_events(trained, model, train_only),
        out / "saved_models" / "quickstart",
        metrics=reports[0].to_dict(),
        config=trained.config.model_dump(mode="json"),
    )
    recommender = Recommender(version)
    user = recommender.card["example_users"][0]
    best = recommender.recommend(user, k=5)

    output.print(compare(reports))
    output.print(f"TensorBoard: tensorboard --logdir {shlex.quote(str(out / 'runs'))}")
    output.print(f"export ({first}): {version}")
    folder = shlex.quote(str(version.parent))
    output.print(f"to view it in a browser (extra: server): tfrec-fusion serve {folder}")
    output.print(f"recommendations for user {user}:")
    output.print(recommendations(best, recommender.titles))
    output.write(
        {
            "data": {**section, "synthetic": data is None},
            "split": kind,
            "reports": [report.to_dict() for report in reports],
            "logs": str(out / "runs"),
            "export": str(version),
            "user_id": user,
            "recommendations": [
                {"item_id": item, "score": score, "title": recommender.titles[item]}
                for item, score in best
            ],
        }
    )


def _data(data: str | None, min_rating: float | None, how: dict, output: Output) -> dict[str, Any]:
    """Returns the config's `data` section and prints which data is used."""
    from tfrec_fusion.data import sample_folder

    if data == "movielens":
        folder, vectors = movielens(output.console)
    elif data is None:
        folder = sample_folder()
        vectors = {"text": folder / "minilm_384.npy"}
        output.print(
            "The shipped sample is a synthetic shop, generated by a script. Its figures show that "
            "the parts work, not what to expect on real data."
        )
    else:
        folder = local_path(data, "data").resolve()
        vectors = _vectors(folder)
    for name in ("interactions.parquet", "items.parquet"):
        if not (folder / name).exists():
            raise InputError(f"--data: the folder has no {name}. Received: {folder}")
    used = ", ".join(f"{name}: {path}" for name, path in vectors.items()) or "none"
    output.print(f"data: {folder}\nvectors: {used}")
    if min_rating is not None:
        output.print(f"interactions with a rating below {min_rating:g} are dropped")
    return {
        "interactions": str(folder / "interactions.parquet"),
        "items": str(folder / "items.parquet"),
        "vectors": {name: str(path) for name, path in vectors.items()},
        "min_rating": min_rating,
        **how,
    }


def _vectors(folder: Path) -> dict[str, Path]:
    """The folder's .npy and .npz files and vector stores by name; a single one is named "text"."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".npy", ".npz"))
    found += sorted(path.parent for path in folder.glob("*/manifest.json"))
    if len(found) == 1:
        return {"text": found[0]}
    return {path.stem: path for path in found}


def _columns(section: dict[str, Any]) -> list[str]:
    """Columns of the interactions under this package's names; empty if they cannot be read."""
    import pyarrow as pa
    import pyarrow.dataset

    try:
        names = pyarrow.dataset.dataset(section["interactions"]).schema.names
    except (pa.ArrowException, OSError):
        return []
    name_of = {column: name for name, column in section.get("columns", {}).items()}
    return [name_of.get(name, name) for name in names]
