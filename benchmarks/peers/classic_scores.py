"""Scores of the classic models of implicit, RecTools, RecBole and LensKit, for classics.py and
retrieval.py.

    python benchmarks/peers/classic_scores.py PAIRS.npz OPTIONS.json OUT.npz

PAIRS holds `user`, `item` (int rows of the training events) and `shape`. OPTIONS has a `model`, one
of the functions below, and its arguments. OUT gets `scores` [users, items] float32 of all pairs,
`seconds` of the fit and `peak_mb`, the peak memory until its end. It runs in an environment of the
peers alone, of the packages in requirements-peers-classic.txt.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import scipy.sparse

sys.path.append(str(Path(__file__).resolve().parents[1]))
from harness import peak_mb

peaks: list[float] = []


def implicit_item_knn(pairs, kind, of, **options):
    """implicit's CosineRecommender, TFIDFRecommender or BM25Recommender.

    `of` is "history" for implicit's own scores, which sum over the neighbours of each item of the
    history, or "candidate" to sum the same similarities over those of each candidate.
    """
    from implicit import nearest_neighbours

    model = getattr(nearest_neighbours, kind)(**options)
    seconds = timed(lambda: model.fit(pairs, show_progress=False))
    similarity = model.similarity.tocsr()
    similarity.setdiag(0)
    return (pairs @ (similarity if of == "history" else similarity.T)).toarray(), seconds


def implicit_als(pairs, alpha, **options):
    """implicit's AlternatingLeastSquares on the CPU; alpha is the confidence of an event."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(alpha=alpha, use_gpu=False, **options)
    seconds = timed(lambda: model.fit(pairs, show_progress=False))
    users = model.recalculate_user(np.arange(pairs.shape[0]), pairs)
    return users @ model.item_factors.T, seconds


def rectools_ease(pairs, regularization):
    """RecTools' EASEModel."""
    import pandas as pd
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import EASEModel

    coo = pairs.tocoo()
    frame = pd.DataFrame({Columns.User: coo.row, Columns.Item: coo.col})
    frame = frame.assign(**{Columns.Weight: 1.0, Columns.Datetime: "2020-01-01"})
    dataset = Dataset.construct(frame)
    model = EASEModel(regularization=regularization)
    seconds = timed(lambda: model.fit(dataset))
    # RecTools knows only the items of training events.
    known = dataset.item_id_map.external_ids.astype(int)
    scores = np.zeros(pairs.shape, np.float32)
    scores[:, known] = pairs[:, known] @ model.weight
    return scores, seconds


def lenskit_item_knn(pairs, **options):
    """LensKit's ItemKNNScorer of implicit feedback."""
    import pandas as pd
    from lenskit.data import ItemList, RecQuery, from_interactions_df
    from lenskit.knn import ItemKNNScorer

    coo = pairs.tocoo()
    events = from_interactions_df(pd.DataFrame({"user_id": coo.row, "item_id": coo.col}))
    model = ItemKNNScorer(feedback="implicit", **options)
    seconds = timed(lambda: model.train(events))
    items, scores = ItemList(item_ids=np.arange(pairs.shape[1])), np.zeros(pairs.shape, np.float32)
    for user in np.unique(coo.row):
        query = RecQuery(user_id=user, user_items=events.user_row(user))
        scores[user] = np.nan_to_num(model(query, items).scores())
    return scores, seconds


def recbole_item_knn(pairs, **options):
    """RecBole's ItemKNN: cosine with shrinkage."""
    return recbole(pairs, "ItemKNN", epochs=1, **options)


def recbole_light_gcn(pairs, **options):
    """RecBole's LightGCN by its own trainer."""
    return recbole(pairs, "LightGCN", **options)


def recbole(pairs, name, **options):
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    # LightGCN of RecBole 1.2.1 calls a method that SciPy 1.14 took out.
    scipy.sparse.dok_matrix._update = lambda matrix, numbers: matrix._dict.update(numbers)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events"
        path.mkdir()
        coo = pairs.tocoo()
        lines = [f"{u}\t{i}" for u, i in zip(coo.row, coo.col, strict=True)]
        text = "\n".join(["user_id:token\titem_id:token", *lines]) + "\n"
        (path / "events.inter").write_text(text)
        given = {
            "data_path": folder,
            "load_col": {"inter": ["user_id", "item_id"]},
            "eval_args": {
                "split": {"RS": [1, 0, 0]},
                "order": "RO",
                "group_by": "none",
                "mode": "full",
            },
            "device": "cpu",
            "use_gpu": False,
            "gpu_id": "",
            "show_progress": False,
            "state": "ERROR",
            "checkpoint_dir": folder,
            "save_dataset": False,
            "log_wandb": False,
            "reproducibility": True,
            **options,
        }
        arguments, sys.argv = sys.argv, sys.argv[:1]  # RecBole reads the command line
        config = Config(model=name, dataset="events", config_dict=given)
        sys.argv = arguments
        init_seed(config["seed"], True)
        dataset = create_dataset(config)
        train, _, _ = data_preparation(config, dataset)
        model = None

        def fit():
            nonlocal model
            model = get_model(name)(config, train.dataset)
            trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
            trainer.fit(train, saved=False, show_progress=False)

        seconds = timed(fit)
        model.eval()
        n_users = dataset.num("user_id")
        with torch.no_grad():
            users = torch.arange(n_users)
            found = model.full_sort_predict({"user_id": users}).reshape(n_users, -1).numpy()
        # Row 0 is padding.
        user = dataset.id2token("user_id", np.arange(1, n_users)).astype(int)
        item = dataset.id2token("item_id", np.arange(1, dataset.num("item_id"))).astype(int)
        scores = np.full(pairs.shape, found.min() - 1 if name == "LightGCN" else 0, np.float32)
        scores[np.ix_(user, item)] = found[1:, 1:]
        return scores, seconds


def timed(work) -> float:
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    peaks.append(peak_mb())
    return seconds


def main():
    given = np.load(sys.argv[1])
    ones = np.ones(len(given["user"]), np.float32)
    pairs = scipy.sparse.csr_matrix((ones, (given["user"], given["item"])), tuple(given["shape"]))
    pairs.data[:] = 1  # of events that were repeated
    options = json.loads(Path(sys.argv[2]).read_text())
    scores, seconds = globals()[options.pop("model")](pairs, **options)
    scores = np.asarray(scores, np.float32)
    np.savez(sys.argv[3], scores=scores, seconds=seconds, peak_mb=peaks[-1])


main()
